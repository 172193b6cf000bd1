"""Few-shot diagnosis of PTB-XL's rare statements, protocol ptbxl_rare.

    python -m experiments.train --config=experiments/configs/ptbxl.py:library=FOLDER --workdir=DIR
"""

from experiments.configs import common


def get_config(arguments: str | None = None):
    config = common.default()
    config.library = ""
    config.protocol = "ptbxl_rare"
    config.way, config.shot, config.query = 5, 10, 5
    config.vary_shot = True
    config.steps = 4000
    config.batch = 4
    config.augmentation.scale = 0.2
    config.augmentation.lead_dropout = 0.1
    config.augmentation.wander = 0.1
    config.augmentation.crop = 0.9
    return common.with_arguments(config, arguments)
