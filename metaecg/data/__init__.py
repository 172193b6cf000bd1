"""Data: recordings on disk, the sample library made of them, and the protocols that split it."""

from metaecg.data.library import Library, LibraryError, open_library
from metaecg.data.writing import Writer, save

__all__ = ["Library", "LibraryError", "Writer", "open_library", "save"]
