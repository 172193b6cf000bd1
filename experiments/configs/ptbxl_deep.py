"""A residual network on the signals, trained on all of PTB-XL's common statements at once.

metaecg train --config=ptbxl_deep --config.library=FOLDER --workdir=DIR
"""

from experiments.configs import ptbxl_beat, settings


def get_config(arguments: str | None = None):
    config = ptbxl_beat.get_config()
    config.encoder = "deep"
    config.steps = 2400
    config.validate_every = 400
    config.checkpoint_every = 200
    return settings.with_arguments(config, arguments)
