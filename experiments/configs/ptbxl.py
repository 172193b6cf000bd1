"""Few-shot diagnosis of PTB-XL's rare statements, protocol ptbxl_rare.

    metaecg train --config=ptbxl --config.library=FOLDER --workdir=DIR

Two CPU cores, seed 0: about an hour beside other work; test accuracy .415 (1-shot), .548 (5-shot),
.587 (10-shot), each ± .008.
"""

from experiments.configs import settings


def get_config(arguments: str | None = None):
    config = settings.default()
    config.library = ""
    config.protocol = "ptbxl_rare"
    config.encoder = "medium"
    config.way, config.shot, config.query = 5, 10, 5
    config.vary_shot = True
    config.snail.attention = "32x32+64x64+64x64"
    config.snail.filters = 32
    config.pretrain.steps = 2000
    config.head.steps = 1200
    config.steps = 800
    config.learning_rate = 3e-4
    config.validate_every = 200
    config.augmentation.scale = 0.2
    config.augmentation.lead_dropout = 0.1
    config.augmentation.wander = 0.1
    config.augmentation.crop = 0.9
    return settings.with_arguments(config, arguments)
