"""From fixed episodes to numbers that can be trusted: scores, detection, statistics."""
