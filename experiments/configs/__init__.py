"""Configurations, each a file for `--config`; `defaults` declares every setting."""
