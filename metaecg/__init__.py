"""Few-shot ECG diagnosis by meta-learning: pure functions in JAX."""

NOTICE = "Research software, not a medical device."
__version__ = "0.1.0"
