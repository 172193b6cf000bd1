"""From fixed episodes to numbers that can be trusted: predictions, scores, detection, statistics.

episodes = evaluate.draw_episodes(data, key, 1000, way=5, shot=5, query=5)
predictions = evaluate.predict(learner, variables, data, episodes, slots=5)
scores = evaluate.summarise(predictions, classes)
"""

from metaecg.evaluate import detection, patient_intervals, statistics, training_conditions
from metaecg.evaluate.predictions import Predictions, draw_episodes, embed, predict
from metaecg.evaluate.scores import (
    over_orders,
    paired_difference,
    paired_over_patients,
    reuse,
    summarise,
)

__all__ = [
    "Predictions",
    "detection",
    "draw_episodes",
    "embed",
    "over_orders",
    "paired_difference",
    "paired_over_patients",
    "patient_intervals",
    "predict",
    "reuse",
    "statistics",
    "summarise",
    "training_conditions",
]
