"""Trials: what is too slow for the test suite, run by hand; each prints what it found."""
