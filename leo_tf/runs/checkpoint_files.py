"""The checkpoints in a folder: which there are, and which can be read to the last byte.

TensorFlow's own bookkeeping is not used: its state file may be lost or damaged while the checkpoints are whole, and it
takes `[`, `*`, `?` and `\\` in a path for a pattern.
"""

import contextlib
import re
import tempfile
from pathlib import Path

import tensorflow as tf

from leo_tf.errors import InputError

_FILE = re.compile(r"(ckpt-([0-9]+))\.(index|data-[0-9]+-of-[0-9]+)")
_PATTERN = re.compile(r"[\[\]*?\\]")
# What TensorFlow raises for files that are cut off, empty or changed.
DAMAGE = (tf.errors.OpError, RuntimeError, ValueError, IndexError, TypeError)


def prefix_of(folder, step):
    """Return the checkpoint of a step, as TensorFlow names it: the path without ending."""
    return Path(folder) / f"ckpt-{step}"


def step_of(prefix):
    """Return the step of a checkpoint."""
    return int(prefix.name.rpartition("-")[2])


def checkpoints_in(folder):
    """Return the checkpoints of which there is any file, the newest first."""
    folder = Path(folder)
    found = {_FILE.fullmatch(path.name) for path in folder.iterdir()} if folder.is_dir() else set()
    return sorted({folder / match[1] for match in found if match}, key=step_of, reverse=True)


def newest_whole(folder):
    """Return the newest checkpoint that can be read to the last byte, or None."""
    return next((prefix for prefix in checkpoints_in(folder) if is_whole(prefix)), None)


def is_whole(prefix):
    """Return whether every tensor of a checkpoint can be read; TensorFlow compares checksums."""
    try:
        with readable(prefix) as path:
            reader = tf.train.load_checkpoint(path)
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)
    except tf.errors.ResourceExhaustedError:  # says nothing about the checkpoint
        raise
    except (*DAMAGE, OSError):
        return False
    return True


def read_number(prefix, name):
    """Return the scalar variable `name` of a whole checkpoint, a Python number.

    Raises:
      InputError: it has no such variable.
    """
    try:
        with readable(prefix) as path:
            return tf.train.load_checkpoint(path).get_tensor(f"{name}/.ATTRIBUTES/VARIABLE_VALUE").item()
    except tf.errors.NotFoundError:
        raise InputError(
            f"The checkpoint {prefix} holds no {name}; expected one of this run. Put the run's own files back."
        ) from None


@contextlib.contextmanager
def readable(prefix):
    """Yield a path of the checkpoint, a text, that TensorFlow's reader does not take for a pattern."""
    if not _PATTERN.search(str(prefix)):
        yield str(prefix)
        return
    with tempfile.TemporaryDirectory() as plain:
        for file in _files(prefix):
            (Path(plain) / file.name).symlink_to(file.resolve())
        yield str(Path(plain) / prefix.name)


def remove(prefix):
    """Delete a checkpoint, its index first: without it, what remains is no checkpoint."""
    for file in sorted(_files(prefix), key=lambda file: file.suffix != ".index"):
        file.unlink(missing_ok=True)


def set_aside(prefix):
    """Rename the files of a damaged checkpoint: it counts no more, and can still be looked at."""
    for file in _files(prefix):
        file.replace(file.with_name(f"damaged-{file.name}"))


def _files(prefix):
    return [path for path in prefix.parent.iterdir() if _FILE.fullmatch(path.name) and path.stem == prefix.name]
