"""The commands: prepare, train, evaluate, diagnose …; their configurations and work directories."""

import os
from pathlib import Path

# Compiled steps are kept between runs; jax reads this when it is first imported.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path.home() / ".cache" / "metaecg" / "xla"))
