"""Runs: what the commands share to build, train, resume and load a run."""
