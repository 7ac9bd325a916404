"""Writing small files: a failure is one InputError that names the file."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leo_tf.errors import InputError
from leo_tf.files.atomic import replace_file

_ADVICE = "give a path that can be written"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # gs://, s3://, or what pathlib makes of them; not C:/


@contextmanager
def writing(path: str | Path, advice: str = _ADVICE) -> Iterator[None]:
    """Turn an OSError of the block into an InputError that names `path`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"Cannot write {path} ({error.strerror or error}); {advice}.") from None


def expanded(path: str | Path) -> Path:
    """Return the path with `~` replaced by the home folder.

    Raises:
      InputError: there is no such user, or the path is the address of an object store, which has no locks or renames.
    """
    if _ADDRESS.match(str(path)):
        raise InputError(
            f"Got {path}; expected a path in a POSIX file system, because runs need locks and renames. Copy the files "
            "from the store first and back afterwards, for example with gsutil or aws s3, and give the copy's path."
        )
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"Got {path} ({str(error).rstrip('.')}); expected a path. Write ./~ for a name that begins with ~."
        ) from None


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file atomically.

    Raises:
      InputError: it cannot be written.
    """
    with writing(path), replace_file(Path(path)) as file:
        file.write(content)


def write_text(path: str | Path, text: str) -> None:
    """Write text as UTF-8; see `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, content: Any) -> None:
    """Write a value as JSON; see `write_bytes`."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def require_writable(path: str | Path) -> None:
    """Check, before any work is done, that a file can be written; leaves nothing behind.

    Raises:
      InputError: a folder or a device has this name, or the parent folder cannot be written or created.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"Cannot write {path} (it is a folder); give the name of a file.")
    if path.exists() and not path.is_file():  # /dev/null would be replaced
        raise InputError(f"Cannot write {path} (it is not a regular file); give the name of a file.")
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"Cannot write {path} ({folder} is not a folder); {_ADVICE}.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"Cannot write {path} ({folder} cannot be written); {_ADVICE}.")
