"""Few-shot ECG diagnosis by meta-learning: pure functions in JAX."""

__version__ = "0.1.0"
