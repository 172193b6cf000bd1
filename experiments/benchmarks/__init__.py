"""Benchmarks: how fast, beside others in the same run, and how near to the limit of the machine."""
