"""SNAIL on the views of the best reader: it corrects a ridge regression of them.

metaecg train --config=ptbxl_views_snail --config.library=FOLDER --workdir=DIR

`ptbxl_views` says how the networks that it starts from are trained.
"""

from experiments.configs import ptbxl_views, settings


def get_config(arguments: str | None = None):
    config = ptbxl_views.get_config()
    config.learner = "snail"
    config.way, config.shot, config.query = 5, 10, 5
    config.vary_shot = True
    config.snail.closed_form = "ridge"
    config.snail.attention = "32x32+64x64+64x64"
    config.snail.filters = 32
    config.steps, config.batch = 120, 4
    config.learning_rate = 1e-4
    config.validate_every = 40
    config.validate_start = True
    return settings.with_arguments(config, arguments)
