"""The published embeddings: downloaded once, unpacked and verified; later changes of the files are detected."""

import hashlib
import json
import logging
import os
import re
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any, Final

import filelock

from leo_tf.data.cache import cache_folder
from leo_tf.data.readers import read_split
from leo_tf.data.transfer import fetch
from leo_tf.errors import InputError
from leo_tf.files import replace_file

_logger = logging.getLogger("leo_tf")

URL = "http://storage.googleapis.com/leo-embeddings/embeddings.zip"
PUBLISHED_CLASSES: Final = {
    "miniImageNet": {"train": 64, "val": 16, "test": 20},
    "tieredImageNet": {"train": 351, "val": 97, "test": 160},
}
PUBLISHED_DIM: Final = 640

_MAX_EXPANSION, _ALWAYS_ALLOWED = 100, 2**30  # of compressed bytes
_ARCHIVE = "embeddings.zip"
_RECORD = "embeddings.json"
_MEMBER = re.compile(r"(?:^|/)((?:mini|tiered)ImageNet/(?:center|multiview)/(?:train|val|test)_embeddings\.pkl)$")
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)


def published_folder(cache_dir: str | Path | None = None) -> Path:
    """Return the data_path of the unpacked archive."""
    return cache_folder(cache_dir) / "embeddings" / "data"


def provide_published(cache_dir: str | Path | None = None, download: bool = True) -> Path | None:
    """Return the data_path of the published embeddings; download and unpack the archive if they are missing.

    The folder above data_path has the archive and a .json file with the SHA-256 of every file. A file whose size or
    modification time differs from the record is hashed again before it is used. An archive that is already there is
    used in any case; if there is none and `download` is False, the result is None. Raises UnreachableError without a
    network.
    """
    data = published_folder(cache_dir)
    folder, archive = data.parent, data.parent / _ARCHIVE
    if _is_ready(folder):
        return data
    if not download and not archive.exists():
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / "lock"):  # of two processes, the second waits for the download
            if _is_ready(folder):
                return data
            if not archive.exists():
                fetch(URL, archive)
                _refuse_other_than_zip(archive)
                _is_ready(folder)  # compares it with an earlier download, if there was one
            files = {_ARCHIVE: _describe(archive)} | _unpack(archive, data)
            with replace_file(folder / _RECORD) as file:
                file.write(json.dumps({"url": URL, "files": files}, indent=1).encode())
            return data
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be used ({error.strerror or error}); the published embeddings are kept there. Free some "
            "disk space or choose another cache folder.",
            "cache_dir",
        ) from error


def _is_ready(folder: Path) -> bool:
    """Return whether all unpacked files are there as recorded; raise InputError if the content of one has changed."""
    try:
        files = json.loads((folder / _RECORD).read_bytes())["files"]
        complete = all({"size", "mtime_ns", "sha256"} <= each.keys() for each in files.values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False
    if not complete or any("\0" in name for name in files):
        return False
    found = {name: _is_unchanged(folder, name, known) for name, known in files.items()}
    return all(unchanged for name, unchanged in found.items() if name != _ARCHIVE)


def _is_unchanged(folder: Path, name: str, known: dict[str, Any]) -> bool:
    path = folder / name
    if not path.exists():
        return False
    if (path.stat().st_size, path.stat().st_mtime_ns) != (known["size"], known["mtime_ns"]):
        sha256 = _describe(path)["sha256"]
        if sha256 != known["sha256"]:
            raise InputError(
                f"{path}: SHA-256 {sha256}; expected {known['sha256']}, recorded at the first download. The file was "
                f"corrupted or replaced since then. Delete the folder {folder} and start again."
            )
    return True


def _describe(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"sha256": sha256, "size": path.stat().st_size, "mtime_ns": path.stat().st_mtime_ns}


def _refuse_other_than_zip(archive: Path) -> None:
    if not zipfile.is_zipfile(archive):
        with open(archive, "rb") as file:
            beginning = file.read(80)
        archive.unlink()
        raise InputError(
            f"{URL} sent something other than a zip archive; it begins with {beginning!r}. A proxy or a login page may "
            "have answered instead. Download the archive by other means and unpack it into your data_path.",
            "data_path",
        )


def _unpack(archive: Path, data: Path) -> dict[str, dict[str, Any]]:
    """Unpack and check the embeddings; `data` appears only if all are valid. Return {path: result of `_describe`}."""
    _logger.info("Unpacking and checking %s; this happens once.", archive)
    scratch = data.with_name("unpacking")
    shutil.rmtree(scratch, ignore_errors=True)  # left by a killed process
    scratch.mkdir()
    try:
        with zipfile.ZipFile(archive) as content:
            members = _members(content)
            needed = sum(member.file_size for member in members.values())
            if needed > max(_ALWAYS_ALLOWED, _MAX_EXPANSION * archive.stat().st_size):
                raise zipfile.BadZipFile(f"its {archive.stat().st_size} bytes expand to {needed}")
            if needed > shutil.disk_usage(scratch).free:
                raise InputError(
                    f"{data.parent}: {archive.name} unpacks to {needed / 1e9:.1f} GB. Free some disk space."
                )
            for name, member in members.items():
                target = scratch / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with content.open(member) as source, open(target, "wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
                _check_embeddings(target, name)
        files = {f"{data.name}/{name}": _describe(scratch / name) for name in members}
        shutil.rmtree(data, ignore_errors=True)
        os.replace(scratch, data)
        return files
    except _ZIP_ERRORS as error:
        raise InputError(
            f"{archive}: not the archive of the published embeddings: {error}. Delete it and start again, or unpack "
            "the right one into your data_path.",
            "data_path",
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _members(content: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return {path relative to data_path: member} of the embeddings, in whatever folder of the archive they are."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in content.infolist():
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or stat.S_ISLNK(member.external_attr >> 16):
            raise zipfile.BadZipFile(f"its entry {member.filename[:100]!r} points outside of it")
        if match := _MEMBER.search(str(path)):
            if match[1] in members:
                raise zipfile.BadZipFile(f"it has {match[1]} twice")
            members[match[1]] = member
    if not members:
        raise zipfile.BadZipFile("it has none of the files, such as miniImageNet/center/train_embeddings.pkl")
    return members


def _check_embeddings(path: Path, name: str) -> None:
    dataset_name, _, file_name = name.split("/")
    expected = PUBLISHED_CLASSES[dataset_name][file_name.removesuffix("_embeddings.pkl")]
    try:
        embeddings, labels, _ = read_split(path)  # refuses NaN
    except InputError as error:
        raise zipfile.BadZipFile(str(error)) from error
    found, dim = len(set(labels)), embeddings.shape[1]
    if (found, dim) != (expected, PUBLISHED_DIM):
        raise zipfile.BadZipFile(
            f"{name} has {found} classes of dim {dim}; expected {expected} classes of dim {PUBLISHED_DIM}"
        )
