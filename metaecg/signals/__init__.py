"""What is computed of signals without a parameter: beats, and filters of mirrored signals."""
