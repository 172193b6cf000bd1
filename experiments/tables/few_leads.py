"""Few-shot accuracy by fewer leads: models for these, and that of twelve with the others zero.

    python -m experiments.tables.few_leads --library=LIBRARY --part=test [--output=FILE.json]
        [--models=I=FILE,II=FILE,…]

The library has the twelve leads. Each set of leads is read by the model that comes with the package
for it, or that --models names for it, and by the model of twelve leads with zeros in place of the
others, in the same episodes of five queries a class.
"""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.runs import build, command_line, trained
from experiments.tables import measure
from experiments.tables.learners import TableLearner
from metaecg import evaluate
from metaecg.data import protocols
from metaecg.data.library import Library, open_library
from metaecg.diagnose import artefact, few_leads
from metaecg.errors import MetaecgError

FLAGS = flags.FLAGS
QUERY = 5
SETS = ("I", "II", "V1", "I II", "I II V2", "I II III aVR aVL aVF", "V1 V2 V3 V4 V5 V6")
"""One lead, two, the three and the six (limb) of PhysioNet's Challenge of 2021, and the chest.

Its eight leads I, II and V1 to V6 determine all twelve."""


def row(run: trained.Trained, part: build.Part, library: Library, leads: list[str]) -> TableLearner:
    """A model that reads some leads of a part's records; those it expects besides are zero."""
    signals = np.zeros((*part.data.signals.shape[:2], len(run.facts["record"]["leads"])), np.int16)
    for column, lead in enumerate(run.facts["record"]["leads"]):
        if lead in leads:
            signals[:, :, column] = part.data.signals[:, :, library.leads.index(lead)]
    data = part.data._replace(signals=jnp.asarray(signals))
    embedded = evaluate.embed(run.learner, run.variables, data, batch=64)
    return TableLearner(run.learner, run.variables, jnp.asarray(embedded))


def _models(library: Library, split: protocols.Split) -> dict[frozenset[str], trained.Trained]:
    """The models to measure by the leads that they read."""
    files = {**few_leads.sets()}
    for item in FLAGS.models:
        leads, _, file = item.partition("=")
        if not file:
            raise MetaecgError(f"--models: {item!r}: write LEADS=FILE, such as I_II=few.metaecg")
        files[frozenset(leads.split("_"))] = Path(file).expanduser()
    files[frozenset(library.leads)] = artefact.shipped_path()
    found = {}
    for leads, file in files.items():
        found[leads] = run = trained.of_artefact(artefact.read(file))
        for remark in trained.check_unseen(
            run, library, [split], name=str(file), remedy="measure it on others"
        ):
            print(f"note: {remark}")
    return found


def main(_) -> None:
    command_line.need("library")
    library = open_library(Path(FLAGS.library).expanduser())
    protocol = protocols.load(FLAGS.protocol)
    part = build.part(library, protocol, FLAGS.part)
    models = _models(library, protocols.split(library, protocol, FLAGS.part))
    all_leads = frozenset(library.leads)
    every = "all 12"
    rows = {every: row(models[all_leads], part, library, list(library.leads))}
    for listed in SETS:
        leads = listed.split()
        rows[f"{listed}: the others zero"] = row(models[all_leads], part, library, leads)
        if suited := [names for names in models if names <= {*leads}]:
            model = models[max(suited, key=len)]
            rows[f"{listed}: its model"] = row(model, part, library, leads)
    kind = {"query": QUERY, "episodes": FLAGS.episodes, "seed": FLAGS.seed}
    shots = command_line.counts("shots", FLAGS.shots)
    found = measure.by_shot(rows, every, part, shots, way=FLAGS.way, **kind)
    measure.finish(found, FLAGS.output, protocol=protocol.name, part=FLAGS.part)


if __name__ == "__main__":
    flags.DEFINE_string("library", None, "The library of twelve leads to measure on.")
    flags.DEFINE_string("protocol", "ptbxl_rare", "The name or the .json file of a protocol.")
    flags.DEFINE_enum("part", "validation", ["validation", "test"], "Whose classes are asked.")
    flags.DEFINE_list("models", [], "Models besides those that come with the package.")
    flags.DEFINE_integer("way", 5, "The classes of an episode.", lower_bound=2)
    flags.DEFINE_list("shots", ["1", "5", "10"], "The examples of a class.")
    flags.DEFINE_integer("episodes", 600, "The episodes of each kind.", lower_bound=2)
    flags.DEFINE_integer("seed", 0, "The seed of the episodes.")
    flags.DEFINE_string("output", None, "A JSON file of the measurements.")
    command_line.run(main)
