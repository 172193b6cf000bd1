"""The best reader: trained networks and views without training, joined, under ridge regression.

    metaecg train --config=ptbxl_beat --config.library=FOLDER --workdir=workdirs/beat
    metaecg train --config=ptbxl_views --config.library=FOLDER --config.start_from=workdirs/snail \\
        --config.beat_from=workdirs/beat --workdir=workdirs/views

`--config.start_from=shipped` takes the encoder of the diagnoser that comes with the package.
"""

from experiments.configs import settings, untrained


def get_config(arguments: str | None = None):
    config = untrained.get_config()
    config.encoder = "medium"
    config.views = "raw+beat_network+kernels+differences+beat+beat_kernels"
    config.start_from = "workdirs/snail"
    config.beat_from = "workdirs/beat"
    return settings.with_arguments(config, arguments)
