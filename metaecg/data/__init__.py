"""Data: from recordings on disk, or from nothing, to a sample library and its protocols."""
