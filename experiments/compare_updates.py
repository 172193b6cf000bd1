"""Compares the update rules at equal cost: same learner, same embeddings, same gradients.

    python -m experiments.compare_updates --start_from=workdirs/quickstart/pretrain --output=updates

The head of SNAIL learns on the frozen encoder of another run, by each rule, with each seed, until
it has spent --gradients evaluations of the gradient of one task, an episode or a window of a sample
sequence. The table gives the validation accuracy after the last step (5-shot; rules of one seed
share their episodes) and what the rule costs. updates.json and trajectory.svg lie in --output.
"""

import json
from pathlib import Path
from typing import Any

from absl import flags

from experiments.configs import settings
from experiments.runs import command_line, loop, trained, training_data
from experiments.tables import update_rules
from metaecg.errors import MetaecgError
from metaecg.figures import plots

FLAGS = flags.FLAGS


@command_line.defines_flags
def define_flags() -> None:
    flags.DEFINE_string("start_from", None, "folder of a run with an encoder, such as a pretrain")
    flags.DEFINE_string("output", None, "folder for the runs, updates.json and trajectory.svg")
    flags.DEFINE_integer("gradients", 8_000, "evaluations of one task's gradient", lower_bound=100)
    flags.DEFINE_integer("seeds", 3, "runs of each rule", lower_bound=1)
    flags.DEFINE_list(
        "only", None, f"rules to compare, of {', '.join(update_rules.RULES)}; all if not given"
    )


def main(_) -> None:
    command_line.need("start_from", "output")
    rules = update_rules.RULES
    if unknown := set(FLAGS.only or ()) - set(rules):
        raise MetaecgError(f"--only: no rule {min(unknown)!r}; there are {', '.join(rules)}")
    output, source = Path(FLAGS.output), trained.load(Path(FLAGS.start_from))
    base = source.config.copy_and_resolve_references()
    base.update({"learner": "snail", "freeze_encoder": True, "start_from": FLAGS.start_from})
    defaults = settings.default()
    base.update({"shot": 5, "inner": defaults.inner, "meta": defaults.meta})
    data = training_data.embed(training_data.open_parts(base), base, source)
    chosen = {k: v for k, v in rules.items() if not FLAGS.only or k in FLAGS.only}
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    for seed in range(FLAGS.seeds):
        for name, rule in chosen.items():
            base.seed = seed
            config = update_rules.settings(base, rule, FLAGS.gradients)
            try:
                run = update_rules.measure(
                    config, output / f"{name} {seed}".replace(" ", "_"), data
                )
            except loop.Terminated as stop:
                print(f"{stop}; the same command goes on from there")
                return
            run["gradients_per_step"] = config.batch * update_rules.tasks_per_step(config)
            results[name].append(run)
            print(f"{name}, seed {seed}: {run['accuracy']:.3f}, {run['seconds']:.0f} s")
            (output / "updates.json").write_text(json.dumps(results, indent=1))
    base.seed = 0
    shown = update_rules.settings(base, rules["trajectory, meta-SGD"], FLAGS.gradients)
    walk = update_rules.follow(shown, data)
    plots.trajectory(*walk[:3], star=walk[3]).savefig(output / "trajectory.svg")
    print(update_rules.table(results))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
