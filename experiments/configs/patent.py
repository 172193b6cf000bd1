"""The source's own setting: 30-s, 200-Hz ECGs of one lead, figure 3, the trajectory update.

    metaecg train --config=patent --workdir=workdirs/patent

By default on synthetic ECGs; with `--config.library=FOLDER` on any library of one lead, 30 s at
200 Hz, as of

    metaecg prepare --source=wfdb --input=DIR --hz=200 --seconds=30 --leads=II --output=FOLDER

Two busy CPU cores: about 15 s a sequence, which is a step. Not measured: a score.
"""

from experiments.configs import settings


def get_config(arguments: str | None = None):
    config = settings.default()
    config.synthetic.patients = 1200
    config.synthetic.hz = 200.0  # [0042]
    config.synthetic.seconds = 30.0  # [0042]
    config.synthetic.leads = "II"
    config.encoder = "residual"  # [0047], fig. 3
    config.snail.closed_form = "none"  # [0043], fig. 2: SNAIL alone
    # M = 5 classes of k = 4 records make a sequence, windows of 10 its groups [0051].
    config.way, config.shot, config.query = 5, 2, 2
    config.inner.per_class, config.inner.width = 4, 10
    config.update_rule = "trajectory"
    config.steps = 100
    config.batch = 1
    config.test_shots = "1+2"
    return settings.with_arguments(config, arguments)
