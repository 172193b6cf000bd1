"""Readers: a recording of any format, as it is on disk, to millivolts; one file a format."""
