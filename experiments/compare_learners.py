"""The reference benchmark: every learner on one protocol, over its splits or several seeds.

    python -m experiments.compare_learners --library=LIBRARY --protocol=ptbxl_21_5 --output=DIR

All learners start from the same supervised encoder of the same split and seed, and answer the same
test episodes. Every run resumes where it stopped, and one that is done is only read, so that the
command may be interrupted and given again. results.json, table.md, report.html (figures of the best
learner's classes) and shots.svg lie in --output.
"""

import shlex
import sys
from pathlib import Path

from absl import flags

from experiments.runs import command_line, loop, machine
from experiments.tables import compared_learners, comparison, learners
from experiments.tables.compared_learners import ENCODER, FINE_TUNED, LEARNERS, NAMES
from metaecg.data import protocols
from metaecg.errors import MetaecgError

FLAGS = flags.FLAGS


@command_line.defines_flags
def define_flags() -> None:
    flags.DEFINE_string("library", None, "library made by metaecg prepare from PTB-XL")
    flags.DEFINE_string("protocol", "ptbxl_rare", "protocol; all of its splits are taken")
    flags.DEFINE_string("output", None, "folder for runs, results.json, table.md and figures")
    flags.DEFINE_string("encoder", "small", "encoder of all learners")
    flags.DEFINE_integer("seeds", 1, "training seeds", lower_bound=1)
    flags.DEFINE_list("only", None, "learners, as the table names them; all if not given")
    flags.DEFINE_list(
        "probes",
        ["cosine", "ridge", "whitened_cosine", "whitened_ridge"],
        "probes of the encoders",
    )
    flags.DEFINE_list("ways", ["5", "2"], "classes of an episode")
    flags.DEFINE_list("shots", ["1", "5", "10"], "examples of a class")
    flags.DEFINE_integer("episodes", 1000, "test episodes of each kind", lower_bound=2)
    flags.DEFINE_enum("part", "test", ["test", "validation"], "part of the protocol")
    flags.DEFINE_integer(
        "repeats",
        0,
        "draws of examples a class to detect, of the middle shot; 0: none",
        lower_bound=0,
    )
    flags.DEFINE_float("longer", 1, "times the training steps of every learner", lower_bound=0.1)
    flags.DEFINE_bool("smoke", False, "a few steps of everything, to see that it runs")


def main(_) -> None:
    command_line.need("library", "output")
    names = [n for n in LEARNERS if n == ENCODER or not FLAGS.only or n in FLAGS.only]
    if unknown := set(FLAGS.only or ()) - set(NAMES):
        raise MetaecgError(f"--only: no learner {min(unknown)!r}; there are {', '.join(NAMES)}")
    learners.check_probes(FLAGS.probes)
    ways = command_line.counts("ways", FLAGS.ways, 2)
    shots = command_line.counts("shots", FLAGS.shots)
    output, whole = Path(FLAGS.output).expanduser(), protocols.load(FLAGS.protocol)
    if not getattr(whole.splits[0], FLAGS.part):
        raise MetaecgError(f"--part={FLAGS.part}: protocol {FLAGS.protocol} has no such part")
    splits = [FLAGS.protocol]
    if len(whole.splits) > 1:
        of, oracle = FLAGS.protocol.removesuffix(protocols.ORACLE), protocols.ORACLE * whole.oracle
        splits = [f"{of}:{number}{oracle}" for number in range(len(whole.splits))]
    asked = comparison.Asked(
        part=FLAGS.part,
        ways=ways,
        shots=shots,
        episodes=FLAGS.episodes,
        probes=FLAGS.probes,
        repeats=FLAGS.repeats,
        fine_tuned=not FLAGS.only or FINE_TUNED in FLAGS.only,
    )
    command = f"python -m experiments.compare_learners {shlex.join(sys.argv[1:])}"
    about = {"command": command, "machine": machine.facts(), "protocol": FLAGS.protocol}
    about |= {name: FLAGS[name].value for name in ("part", "encoder", "seeds", "episodes")}
    options = {name: FLAGS[name].value for name in ("library", "encoder", "longer", "smoke")}
    found: comparison.Found = {"rows": [], "detection": []}
    for protocol in splits:
        for seed in range(FLAGS.seeds):
            # A protocol's own file may lie anywhere; its runs lie here.
            folder = output / Path(protocol).name.replace(":", "_") / str(seed)
            try:
                with loop.SigTerm() as sigterm:
                    runs = compared_learners.train_all(
                        names, protocol, seed, folder, sigterm, **options
                    )
            except loop.Terminated as stop:
                print(f"{stop}; the same command goes on from there")
                return
            for kind, rows in comparison.measured(runs, protocol, seed, folder, asked).items():
                found.setdefault(kind, []).append(rows)
            # After every split, since a command may be interrupted.
            text = comparison.write(found, output, way=ways[0], seeds=FLAGS.seeds, about=about)
    print(f"{text}\n\ndetails in {output / 'results.json'}")


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
