"""The checkpoint files in a directory: list them, and check which are intact.

TensorFlow's own bookkeeping is not used: its state file may be lost or corrupt while the checkpoints are intact, and it
interprets `[`, `*`, `?` and `\\` in a path as a pattern.
"""

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from leo_tf.errors import InputError

_FILE = re.compile(r"(ckpt-([0-9]+))\.(index|data-[0-9]+-of-[0-9]+)")
_PATTERN = re.compile(r"[\[\]*?\\]")
# Exceptions that TensorFlow raises for files that are truncated, empty or modified.
CORRUPTION = (tf.errors.OpError, RuntimeError, ValueError, IndexError, TypeError)


def prefix_of(folder: str | Path, step: int) -> Path:
    """Return the checkpoint of a step, as TensorFlow names it: the path without ending."""
    return Path(folder) / f"ckpt-{step}"


def step_of(prefix: Path) -> int:
    """Return the step of a checkpoint."""
    return int(prefix.name.rpartition("-")[2])


def checkpoints_in(folder: str | Path) -> list[Path]:
    """Return the checkpoints that have any file there, the newest first."""
    folder = Path(folder)
    found = {_FILE.fullmatch(path.name) for path in folder.iterdir()} if folder.is_dir() else set()
    return sorted({folder / match[1] for match in found if match}, key=step_of, reverse=True)


def newest_whole(folder: str | Path) -> Path | None:
    """Return the newest intact checkpoint of a directory, or None."""
    return next((prefix for prefix in checkpoints_in(folder) if is_whole(prefix)), None)


def is_whole(prefix: Path) -> bool:
    """Return whether every tensor of a checkpoint can be read; TensorFlow compares checksums."""
    try:
        with readable(prefix) as path:
            reader = tf.train.load_checkpoint(path)
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)
    except tf.errors.ResourceExhaustedError:  # says nothing about the checkpoint
        raise
    except (*CORRUPTION, OSError):
        return False
    return True


def read_number(prefix: Path, name: str) -> Any:
    """Return the scalar variable `name` of an intact checkpoint, a Python number."""
    try:
        with readable(prefix) as path:
            return tf.train.load_checkpoint(path).get_tensor(f"{name}/.ATTRIBUTES/VARIABLE_VALUE").item()
    except tf.errors.NotFoundError:
        raise InputError(
            f"The checkpoint {prefix} holds no {name}; expected one of this run. Put the run's own files back."
        ) from None


@contextlib.contextmanager
def readable(prefix: Path) -> Iterator[str]:
    """Yield a path of the checkpoint that TensorFlow's reader does not interpret as a pattern."""
    if not _PATTERN.search(str(prefix)):
        yield str(prefix)
        return
    with tempfile.TemporaryDirectory() as plain:
        for file in _files(prefix):
            (Path(plain) / file.name).symlink_to(file.resolve())
        yield str(Path(plain) / prefix.name)


def remove(prefix: Path) -> None:
    """Delete a checkpoint, its index first: without it, what remains is no checkpoint."""
    for file in sorted(_files(prefix), key=lambda file: file.suffix != ".index"):
        file.unlink(missing_ok=True)


def set_aside(prefix: Path) -> None:
    """Rename the files of a corrupt checkpoint, which then does not count but can be inspected."""
    for file in _files(prefix):
        file.replace(file.with_name(f"corrupt-{file.name}"))


def _files(prefix: Path) -> list[Path]:
    return [path for path in prefix.parent.iterdir() if _FILE.fullmatch(path.name) and path.stem == prefix.name]
