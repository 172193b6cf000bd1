"""Episodes: from a key and an index of a library to rows of it, as vectorised index arithmetic."""

from metaecg.episodes.feasibility import check_feasible, eligible_patients, largest_shots
from metaecg.episodes.rules import coverage, verify
from metaecg.episodes.sampling import sample_episode, sample_episodes
from metaecg.episodes.sequences import windows

__all__ = [
    "check_feasible",
    "coverage",
    "eligible_patients",
    "largest_shots",
    "sample_episode",
    "sample_episodes",
    "verify",
    "windows",
]
