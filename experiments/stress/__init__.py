"""Stress programs: what is too slow for the tests, run by hand; each prints what it found."""
