"""Configurations, each a file for `--config`; all settings stand in `common`."""
