"""Sources: from a folder of recordings and its labels to a sample library."""
