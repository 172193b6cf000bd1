"""The quickstart by trajectory goes on with encoder and head together.

    metaecg train --config=quickstart_trajectory_end_to_end \\
        --config.start_from=workdirs/trajectory --workdir=workdirs/trajectory_end_to_end

The inner rate must be a tenth of the head's: at .001 the encoder forgets.

Not measured: the time. Validation accuracy .795 (5-shot) on two CPU cores, seed 0, from .817 of the
head alone; with `--config.encoder=residual` and a start from such a run .691, from .607.
"""

from experiments.configs import quickstart_trajectory, settings


def get_config(arguments: str | None = None):
    config = quickstart_trajectory.get_config()
    config.start_from = "workdirs/trajectory"
    config.pretrain.steps = 0
    config.freeze_encoder = False
    config.steps, config.batch = 20, 1
    config.inner.rate = 1e-4
    return settings.with_arguments(config, arguments)
