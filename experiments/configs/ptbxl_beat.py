"""A network on the median beat, trained on all of PTB-XL's common statements at once.

metaecg train --config=ptbxl_beat --config.library=FOLDER --workdir=DIR
"""

from experiments.configs import settings


def get_config(arguments: str | None = None):
    config = settings.default()
    config.library = ""
    config.protocol = "ptbxl_rare"
    config.learner = "supervised"
    config.encoder = "beat"
    config.steps, config.batch = 1650, 128  # twelve times all records of the training part
    config.learning_rate = 3e-3
    config.weight_decay = 1e-3
    config.warmup = 300
    config.validate_every = config.checkpoint_every = 100
    config.augmentation.scale = 0.15
    config.augmentation.lead_dropout = 0.1
    return settings.with_arguments(config, arguments)
