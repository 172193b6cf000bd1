"""A yardstick: an encoder that has learned the rare statements by their names, in other patients.

    metaecg train --config=ptbxl_oracle --config.library=FOLDER --workdir=DIR
    metaecg evaluate --workdir=DIR --seen --probes=whitened_cosine

Two cores of an AMD EPYC beside other work, seed 0: test accuracy .432 (1-shot), .571 (5-shot), .600
(10-shot), whitened .454, .599 and .633, each ± .008. Not measured: the time.
"""

from experiments.configs import ptbxl, settings


def get_config(arguments: str | None = None):
    config = ptbxl.get_config()
    config.protocol = "ptbxl_rare:oracle"
    config.encoder = "small"
    config.learner = "supervised"
    config.pretrain.steps = config.head.steps = 0
    config.steps, config.batch = 1000, 128
    config.learning_rate = 2e-3
    return settings.with_arguments(config, arguments)
