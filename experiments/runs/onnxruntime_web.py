"""ONNX Runtime for browsers: fetched from npm when a page is exported, or given as a folder."""

import hashlib
import subprocess
import tarfile
import tempfile
from pathlib import Path

from metaecg.errors import MetaecgError
from metaecg.figures.standalone import Runtime

VERSION = "1.30.0"
FILES = {
    "ort.wasm.bundle.min.mjs": ("11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90"),
    "ort-wasm-simd-threaded.wasm": (
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
    ),
}
"""Of the package's folder `dist`, with their sha256."""

LICENCE = Path(__file__).with_suffix(".txt").read_text("utf-8").format(version=VERSION)


def load(folder: str | None) -> Runtime:
    """Reads the runtime, and compares it with its sha256.

    Args:
      folder: holds the files; None fetches the package from npm.

    Raises:
      MetaecgError: it cannot be had, or is not the version that is known to work.
    """
    if folder is not None:
        return _read(Path(folder).expanduser())
    package = f"onnxruntime-web@{VERSION}"
    with tempfile.TemporaryDirectory() as place:
        command = ["npm", "pack", "--silent", "--pack-destination", place, package]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
            (archive,) = Path(place).glob("*.tgz")
            with tarfile.open(archive) as packed:
                packed.extractall(place, filter="data")
        except (OSError, subprocess.SubprocessError, ValueError, tarfile.TarError) as error:
            reason = (
                "npm is not installed" if isinstance(error, FileNotFoundError) else "npm failed"
            )
            raise MetaecgError(
                f"{package} cannot be fetched ({reason}): run 'npm pack {package}' where it can, "
                "unpack it, and name its folder by --onnxruntime=FOLDER"
            ) from None
        return _read(Path(place) / "package")


def _read(folder: Path) -> Runtime:
    dist = folder / "dist" if (folder / "dist").is_dir() else folder
    found = []
    for name, wanted in FILES.items():
        try:
            content = (dist / name).read_bytes()
        except OSError:
            raise MetaecgError(
                f"--onnxruntime={folder}: no {name} in it; it is the folder of the npm package "
                f"onnxruntime-web {VERSION}"
            ) from None
        if hashlib.sha256(content).hexdigest() != wanted:
            raise MetaecgError(
                f"{dist / name}: not that of onnxruntime-web {VERSION}; take that one"
            )
        found.append(content)
    return Runtime(found[0], found[1], LICENCE)
