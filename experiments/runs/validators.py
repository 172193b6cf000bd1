"""How a run is validated: functions from a learner's variables to scores, by name."""

from collections.abc import Callable, Mapping

import numpy as np

from experiments.runs import build
from metaecg import episodes, evaluate
from metaecg.episodes import sequences
from metaecg.errors import MetaecgError
from metaecg.evaluate import training_conditions
from metaecg.train import parallel
from metaecg.types import Array, LibraryIndex, Variables

Validator = Callable[[Variables], dict[str, float]]
"""Variables -> scores; the first one chooses the best step. None where there is nothing."""


def validator(run: build.Experiment, parts: Mapping[str, build.Part], key: Array) -> Validator:
    """The validation that a configuration asks for.

    Args:
      run: the configuration and its learner.
      parts: by name; "validation" for episodes, "train" and "held out" for conditions.
      key: of the episodes, which are the same at every validation.
    """
    if run.config.labels == "conditions":
        return _of_conditions(run, parts["train"], parts["held out"])
    return _of_episodes(run, parts.get("validation"), key)


def _of_episodes(run: build.Experiment, part: build.Part | None, key: Array) -> Validator:
    """Returns a function from variables to scores on fixed validation episodes, if any."""
    if part is None:
        return lambda variables: {}
    config = run.config
    drawn = evaluate.draw_episodes(
        part.data,
        key,
        config.validation_episodes,
        way=config.way,
        shot=feasible_shot(part, config),
        query=config.query,
        names=part.classes,
    )

    def validate(variables):
        predictions = evaluate.predict(run.learner, variables, part.data, drawn, run.slots)
        scores = evaluate.summarise(predictions, part.classes)
        # Hosts with libraries of their own measure different numbers: the main one's count.
        numbers = {k: v for k, v in scores.items() if isinstance(v, float)}
        return {k: float(v) for k, v in parallel.from_main(numbers).items()}

    return validate


def _of_conditions(
    run: build.Experiment, training_part: build.Part, held_out: build.Part
) -> Validator:
    """Returns a function from variables to scores on the training conditions of other patients."""
    rows = context(run.config, training_part.data.index)

    def validate(variables):
        probs = training_conditions.diagnose(
            run.learner, variables, training_part.data, held_out.data, rows=rows
        )
        found = training_conditions.scores(probs, held_out.data.index.labels, held_out.classes)
        mean = parallel.from_main({"macro_auroc": np.mean(list(found.values()))})
        return {k: float(v) for k, v in mean.items()}

    return validate


def context(config, index: LibraryIndex) -> np.ndarray:
    """Rows that every query sees: the first sample sequence of the training."""
    size = {"way": config.way, "per_class": build.per_class(config)}
    return sequences.stream(index, 1, **size, seed=config.seed).rows[0]


def feasible_shot(part: build.Part, config) -> int:
    """The most examples, up to 5, that the rare classes of validation allow."""
    for shot in range(min(config.shot, 5), 0, -1):
        try:
            episodes.check_feasible(
                part.data.index,
                way=config.way,
                shot=shot,
                query=config.query,
                names=part.classes,
            )
            return shot
        except MetaecgError as error:
            reason = error
    raise MetaecgError(f"validation part: {reason}")
