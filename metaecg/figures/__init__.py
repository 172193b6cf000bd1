"""Figures: ECG paper, plots, and self-contained pages."""
