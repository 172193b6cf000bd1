"""Rhythms of real strips of one lead, the source's own kind of signal, in other recordings.

    metaecg prepare --source=cinc2017 --input=FOLDER --hz=100 --seconds=30 --output=LIBRARY
    metaecg train --config=cinc2017_conditions --config.library=LIBRARY --workdir=DIR
    metaecg evaluate --workdir=DIR

An encoder is trained on the four labels, then SNAIL over it by the source's update. `evaluate`
gives the AUROC and F1 of each label in the recordings that were held out.
"""

from experiments.configs import ptbxl_conditions, settings


def get_config(arguments: str | None = None):
    config = ptbxl_conditions.get_config()
    config.protocol = "cinc2017_conditions"
    config.way, config.shot, config.query = 4, 5, 2
    config.augmentation.lead_dropout = 0.0
    config.pretrain.steps, config.steps = 1500, 300
    return settings.with_arguments(config, arguments)
