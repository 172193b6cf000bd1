"""PTB-XL's common statements themselves, in patients never seen, by the source's update.

    metaecg train --config=ptbxl_conditions --config.library=FOLDER --workdir=DIR

Two cores of an AMD EPYC beside other work, seed 0: mean AUROC over 31 statements .920. Not
measured: the time.
"""

from experiments.configs import ptbxl, settings


def get_config(arguments: str | None = None):
    config = ptbxl.get_config()
    config.labels = "conditions"
    config.update_rule = "trajectory"
    config.encoder = "small"
    config.whiten = config.freeze_encoder = True
    config.pretrain.steps, config.head.steps = 1000, 0
    config.shot = 5
    config.steps, config.batch = 600, 4
    return settings.with_arguments(config, arguments)
