"""Configurations, each a file for `--config`; `table` declares every setting."""
