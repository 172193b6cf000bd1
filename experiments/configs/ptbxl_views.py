"""The best reader: trained networks and views without training, joined, under ridge regression.

    metaecg train --config=ptbxl_deep --config.library=FOLDER --workdir=workdirs/deep
    metaecg train --config=ptbxl_beat --config.library=FOLDER --workdir=workdirs/beat
    metaecg train --config=ptbxl_views --config.library=FOLDER --config.start_from=workdirs/deep \\
        --config.beat_from=workdirs/beat --workdir=workdirs/views
"""

from experiments.configs import settings, untrained


def get_config(arguments: str | None = None):
    config = untrained.get_config()
    config.encoder = "deep"
    config.views = "raw+beat_network+kernels+beat_kernels+rhythm+waves"
    config.start_from = "workdirs/deep"
    config.beat_from = "workdirs/beat"
    return settings.with_arguments(config, arguments)
