"""A zip archive whose manifest vouches for every member by its sha256; no pickle, no date."""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

from metaecg.errors import MetaecgError

FORMAT = "metaecg diagnoser"
VERSION = 1
_MANIFEST, _SEAL = "manifest.json", "manifest.sha256"

FOREIGN = (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError)
"""What a manifest that others wrote ends in."""


class ArtefactError(MetaecgError):
    """A file is no artefact, or damaged, or of another version."""


def write(path: Path, manifest: dict[str, Any], members: dict[str, bytes]) -> None:
    """Writes a file in one step: it is there as a whole or not at all.

    Args:
      path: the file.
      manifest: numbers, texts and lists; `members`, their hashes, is added to it.
      members: all else, by name.
    """
    manifest["members"] = {n: hashlib.sha256(content).hexdigest() for n, content in members.items()}
    text = json.dumps(manifest, ensure_ascii=False, indent=1).encode()
    members = {_MANIFEST: text, _SEAL: hashlib.sha256(text).hexdigest().encode(), **members}
    unfinished = path.with_name(path.name + ".partial")
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # no date
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read(path: Path) -> tuple[dict[str, Any], dict[str, bytes], str]:
    """The manifest, the other members and the manifest's sha256, all compared with their hashes.

    Raises:
      ArtefactError: it is no artefact, damaged, or of another version.
      OSError: it cannot be opened.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(_MANIFEST)
            manifest = json.loads(text)
            if manifest["format"] != FORMAT:
                raise KeyError(FORMAT)
            if manifest["version"] != VERSION:
                raise ArtefactError(
                    f"{path}: version {manifest['version']} of the format, this program reads "
                    f"{VERSION}; install another metaecg or export the model again"
                )
            if hashlib.sha256(text).hexdigest() != archive.read(_SEAL).decode():
                raise zipfile.BadZipFile(f"{_MANIFEST} differs from its sha256")
            members = {name: archive.read(name) for name in manifest["members"]}
        for name, content in members.items():
            if hashlib.sha256(content).hexdigest() != manifest["members"][name]:
                raise zipfile.BadZipFile(f"{name} differs from its sha256")
    except (ArtefactError, OSError):
        raise
    except FOREIGN as error:
        raise not_ours(path, error) from None
    except Exception as error:  # zlib and zipfile raise many types for damage
        if not zipfile.is_zipfile(path):
            raise ArtefactError(f"{path}: not made by metaecg export, or cut short") from None
        raise damaged(path, error) from None
    return manifest, members, hashlib.sha256(text).hexdigest()


def not_ours(path: Path, error: Exception) -> ArtefactError:
    """What is said of a file that another program wrote."""
    return ArtefactError(f"{path}: not made by metaecg export ({' '.join(str(error).split())})")


def damaged(path: Path, error: Exception) -> ArtefactError:
    """What is said of a file that this program wrote and cannot read any more."""
    return ArtefactError(f"{path}: damaged ({' '.join(str(error).split())}); copy it again")
