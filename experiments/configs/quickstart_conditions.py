"""The other reading of the source's labels: the library's own conditions, in other patients [0052].

    metaecg train --config=quickstart_conditions --workdir=workdirs/conditions

The labels are a binary sequence over a fixed vocabulary with a sigmoid loss. Two cores of an AMD
EPYC beside other work, seed 0: mean AUROC over 35 conditions of held-out patients .963 by the
trajectory, .957 with `--config.update_rule=episodic`. Not measured: the time.
"""

from experiments.configs import quickstart_trajectory, settings


def get_config(arguments: str | None = None):
    config = quickstart_trajectory.get_config()
    config.labels = "conditions"
    return settings.with_arguments(config, arguments)
