"""A prototypical network by angle on whitened embeddings, from a run of `ptbxl`.

    metaecg train --config=ptbxl_protonet_whitened --config.library=FOLDER \\
        --config.start_from=workdirs/snail/pretrain --workdir=workdirs/protonet_w

Two CPU cores, seed 0: eight minutes beside other work; test accuracy .449 (1-shot), .596 (5-shot),
.644 (10-shot), each ± .008.
"""

from experiments.configs import ptbxl_protonet, settings


def get_config(arguments: str | None = None):
    config = ptbxl_protonet.get_config()
    config.cosine = config.whiten = True
    config.shot = 5
    return settings.with_arguments(config, arguments)
