"""Ridge regression on the whitened encoder of a run of `ptbxl`.

    metaecg train --config=ptbxl_ridge --config.library=FOLDER \\
        --config.start_from=workdirs/snail --workdir=workdirs/ridge

Two CPU cores, seed 0: five minutes beside other work; test accuracy .442 (1-shot), .599 (5-shot),
.655 (10-shot), each ± .008.
"""

from experiments.configs import ptbxl, settings


def get_config(arguments: str | None = None):
    config = ptbxl.get_config()
    config.learner = "ridge"
    config.start_from = "workdirs/snail"
    config.whiten = config.freeze_encoder = True
    config.pretrain.steps = config.head.steps = 0
    config.steps, config.batch = 200, 16
    config.learning_rate = 0.02
    config.validate_every = 50
    return settings.with_arguments(config, arguments)
