"""A prototypical network, end to end, on the pretrained encoder of a run of `ptbxl`.

    metaecg train --config=ptbxl_protonet --config.library=FOLDER \\
        --config.start_from=workdirs/snail/pretrain --workdir=workdirs/protonet

Two CPU cores, seed 0: eight minutes beside other work; test accuracy .379 (1-shot), .552 (5-shot),
.600 (10-shot), each ± .008.
"""

from experiments.configs import ptbxl, settings


def get_config(arguments: str | None = None):
    config = ptbxl.get_config()
    config.learner = "protonet"
    config.start_from = "workdirs/snail/pretrain"
    config.pretrain.steps = config.head.steps = 0
    config.steps = 400
    config.validate_every = 100
    return settings.with_arguments(config, arguments)
