"""Kills a training again and again with SIGKILL, and compares how it ends with one left alone.

    python -m experiments.stress.kill --kills=20

Half of the kills come at a random moment, half while a checkpoint is being written. The resumed run
must end in the same bits: parameters, model state, optimiser, facts, and logged losses. Two CPU
cores: 414 s, machine shared with other work. Exits with 1 if anything differs.
"""

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from experiments.runs import command_line
from experiments.stress import toy

FLAGS = flags.FLAGS

SETTINGS = "steps=60,log_every=1,validate_every=5,checkpoint_every=1"


def command(settings: str, workdir: Path) -> list[str]:
    """The command line of a toy training."""
    config = f"--config=experiments/configs/quickstart.py:{settings}"
    return [sys.executable, "-m", "experiments.train", config, f"--workdir={workdir}"]


def end(workdir: Path) -> dict[str, Any]:
    """What a finished run left: the digests beside its checkpoints, and its logs without rates."""
    found: dict[str, Any] = {}
    for stage in (workdir / "pretrain", workdir / "head", workdir):
        for kind in ("latest", "best"):
            steps = stage / "checkpoints" / kind
            newest = max(
                (p for p in steps.iterdir() if p.name.isdigit()), key=lambda p: int(p.name)
            )
            meta = json.loads((newest / "meta" / "metadata").read_text())
            found[f"{stage.relative_to(workdir)}/{kind}"] = {"step": newest.name, **meta}
        lines = map(json.loads, (stage / "metrics.jsonl").read_text().splitlines())
        log = [{k: v for k, v in line.items() if k != "rate"} for line in lines]
        found[f"{stage.relative_to(workdir)}/log"] = log
    return found


def kill_often(settings: str, workdir: Path, kills: int, seed: int) -> dict[str, int]:
    """Starts a run, kills it, starts it again …, then lets it end; returns when it was killed."""
    rng = random.Random(seed)
    moments = {"random": 0, "mid-save": 0}
    with tqdm(total=kills, unit="kill") as bar:
        while bar.n < kills:
            process = subprocess.Popen(
                command(settings, workdir), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            moment = rng.choice(list(moments))
            began, delay = time.monotonic(), rng.uniform(2, 12)
            saves = rng.randint(1, 6)
            while process.poll() is None:
                if moment == "random" and time.monotonic() - began > delay:
                    break
                if moment == "mid-save" and any(workdir.rglob("*.orbax-checkpoint-tmp*")):
                    saves -= 1
                    if not saves:
                        break
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            _, errors = process.communicate()
            if process.returncode == -signal.SIGKILL:
                moments[moment] += 1
                bar.update()
            elif process.returncode:
                raise SystemExit(f"a resumed run failed: {errors.decode()[-2000:]}")
            else:
                bar.write("the run ended before it was killed; counting stops")
                break
    subprocess.run(command(settings, workdir), check=True, stdout=subprocess.DEVNULL)
    return moments


def main(_) -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = f"{toy.write(folder)},{SETTINGS},steps={FLAGS.steps}"
        alone, killed = folder / "alone", folder / "killed"
        subprocess.run(command(settings, alone), check=True, stdout=subprocess.DEVNULL)
        moments = kill_often(settings, killed, FLAGS.kills, FLAGS.seed)
        expected, found = end(alone), end(killed)
    differing = [part for part in expected if expected[part] != found[part]]
    print(f"killed {moments['random']} times at random, {moments['mid-save']} times mid-save")
    print(f"parts compared: {len(expected)}; differing: {', '.join(differing) or 'none'}")
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if differing else 0


if __name__ == "__main__":
    flags.DEFINE_integer("kills", 20, "how many times to kill", lower_bound=1)
    flags.DEFINE_integer("steps", 60, "steps of the run", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "seed of the moments")
    command_line.run(main)
