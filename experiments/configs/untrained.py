"""A diagnoser without training: views of a recording that need only a library to be whitened on.

    metaecg train --config=untrained --config.library=FOLDER --workdir=DIR

For any leads, any rate from 50 Hz on and any length from 5 s on. For a library of one's own, name a
protocol that `metaecg make_protocol` made of it.
"""

from experiments.configs import settings


def get_config(arguments: str | None = None):
    config = settings.default()
    config.library = ""
    config.protocol = "ptbxl_rare"
    config.views = "kernels+differences+beat+beat_kernels+spread_kernels+rhythm+waves"
    config.pretrain.steps = 1  # the views are fitted before it
    config.pretrain.batch = 64
    config.learner = "ridge"
    config.freeze_encoder = True
    config.steps, config.batch = 200, 16
    config.learning_rate = 0.02
    config.validate_every = 50
    return settings.with_arguments(config, arguments)
