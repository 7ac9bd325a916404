"""Writing files, atomically: a failure is one InputError that names the file."""

import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from leo_tf.errors import InputError

_ADVICE = "give a path that can be written"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # gs://, s3://, or what pathlib makes of them; not C:/


@contextmanager
def writing(path: str | Path, advice: str = _ADVICE) -> Iterator[None]:
    """Turn an OSError of the block into an InputError that names `path`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"Cannot write {path} ({error.strerror or error}); {advice}.") from None


@contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path` when the block ends; if the block raises, `path` stays as it was.

    The file gets the mode that the user's umask gives; missing folders are created. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def expanded(path: str | Path) -> Path:
    """Return the path with `~` replaced by the home folder; raise InputError for the address of an object store."""
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
    """Write a file atomically; raise InputError if it cannot be written."""
    with writing(path), replace_file(Path(path)) as file:
        file.write(content)


def write_text(path: str | Path, text: str) -> None:
    """Write text as UTF-8; see `write_bytes` and `printable`."""
    write_bytes(path, printable(text).encode())


def printable(text: str) -> str:
    """Return text that is valid Unicode: a byte of a file's name that is not UTF-8 becomes an escape, \\udcff."""
    return text.encode(errors="backslashreplace").decode()


def write_json(path: str | Path, content: Any) -> None:
    """Write a value as JSON; see `write_bytes`."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def require_writable(path: str | Path) -> None:
    """Raise InputError, before any work is done, unless a file can be written; leaves nothing behind."""
    path = Path(path)
    if path.exists() and not path.is_file():  # /dev/null would be replaced
        what = "a folder" if path.is_dir() else "not a regular file"
        raise InputError(f"Cannot write {path} (it is {what}); give the name of a file.")
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"Cannot write {path} ({folder} is not a folder); {_ADVICE}.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"Cannot write {path} ({folder} cannot be written); {_ADVICE}.")
