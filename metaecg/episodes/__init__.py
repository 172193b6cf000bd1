"""Episodes: from a key and an index of a library to rows of it, as vectorised index arithmetic."""

from metaecg.episodes.sampling import (
    check_feasible,
    coverage,
    eligible_patients,
    sample_episode,
    sample_episodes,
    verify,
    windows,
)

__all__ = [
    "check_feasible",
    "coverage",
    "eligible_patients",
    "sample_episode",
    "sample_episodes",
    "verify",
    "windows",
]
