"""What every tool writes and reads small files with: a failure is one message that names the file."""

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
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # gs://, s3://, or what pathlib makes of it; no C:/


@contextmanager
def writing(path: str | Path, advice: str = _ADVICE) -> Iterator[None]:
    """Turn an OSError of the block into an InputError that names `path`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"Cannot write {path} ({error.strerror or error}); {advice}.") from None


def expanded(path: str | Path) -> Path:
    """Return the path with `~` as the home folder that it stands for.

    Raises:
      InputError: there is no such user, or it is the address of a store, which has no locks and no renames.
    """
    if _ADDRESS.match(str(path)):
        raise InputError(
            f"Got {path}; expected a path in a POSIX file system, whose locks and renames runs need: copy from and to "
            "the store before and after, with gsutil or aws s3 for example, and give the copy's path."
        )
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"Got {path} ({str(error).rstrip('.')}); expected a path; write ./~ for such a name."
        ) from None


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
      InputError: it cannot be written.
    """
    with writing(path), replace_file(Path(path)) as file:
        file.write(content)


def write_text(path: str | Path, text: str) -> None:
    """Write a text in UTF-8; as `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, content: Any) -> None:
    """Write what goes to JSON; as `write_bytes`."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: str | Path, what: str) -> Any:
    """Read a JSON file.

    Args:
      path: the file.
      what: what it should be, for messages: "the record of a run's data".

    Raises:
      InputError: it is missing, cannot be read, or is no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror or error}); expected {what}.") from None
    except (ValueError, RecursionError) as error:  # JSON and UTF-8 errors are ValueErrors
        raise InputError(f"{path} is damaged or something else ({str(error)[:200]}); expected {what}.") from None


def require_writable(path: str | Path) -> None:
    """Find out, before work is done for it, that a file cannot be written; leaves nothing behind.

    Raises:
      InputError: a folder or a device is in its place, or its folder cannot be written or made.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"Cannot write {path} (it is a folder); give the name of a file.")
    if path.exists() and not path.is_file():  # /dev/null would be replaced
        raise InputError(f"Cannot write {path} (it is no regular file); give the name of a file.")
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"Cannot write {path} ({folder} is no folder); {_ADVICE}.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"Cannot write {path} ({folder} cannot be written); {_ADVICE}.")
