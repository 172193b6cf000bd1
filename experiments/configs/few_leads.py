"""A diagnoser without training for recordings of a few leads.

    metaecg prepare --source=ptbxl --input=FOLDER --leads=I,II --output=LIBRARY
    metaecg train --config=few_leads --config.library=LIBRARY --workdir=DIR

The views are those that read lead I of `ptbxl_rare`'s validation statements best for their size.
"""

from experiments.configs import settings, untrained


def get_config(arguments: str | None = None):
    config = untrained.get_config()
    config.views = "kernels+beat_kernels+rhythm"
    return settings.with_arguments(config, arguments)
