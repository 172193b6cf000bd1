"""SNAIL on the built-in synthetic library.

    python -m experiments.train --config=experiments/configs/quickstart.py --workdir=workdirs/quickstart
"""

from experiments.configs import common


def get_config(arguments: str | None = None):
    config = common.default()
    config.library = "synthetic"
    config.protocol = "synthetic"
    config.way, config.shot, config.query = 5, 5, 5
    config.vary_shot = True
    config.snail.attention = "32x32+64x64+64x64"
    config.snail.filters = 32
    config.steps = 600
    config.batch = 4
    config.validate_every = 200
    config.checkpoint_every = 200
    config.test_episodes = 600
    config.test_shots = "1+5"
    return common.with_arguments(config, arguments)
