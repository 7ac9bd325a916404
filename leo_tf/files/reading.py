"""Reading files that users bring: a failure is one InputError that names the file and what was expected."""

import json
import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leo_tf.errors import InputError, first_line

# Besides OSError, what numpy, zipfile and json raise for files that are corrupt or made to do harm.
_READ_ERRORS = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError, SyntaxError, RuntimeError),
    *(MemoryError, SystemError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


@contextmanager
def reading(path: str | Path, expected: str) -> Iterator[None]:
    """Turn any error of reading a file, inside the block, into an InputError.

    `expected` is a noun phrase for the message: "a task file of evaluate.py --write_tasks".
    """
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror or error}); expected {expected}.") from None
    except _READ_ERRORS as error:
        raise corrupt(path, error, expected) from None


def corrupt(path: str | Path, reason: Exception | str, expected: str) -> InputError:
    """Return the InputError of a file whose content is not what it should be."""
    text = reason if isinstance(reason, str) else first_line(reason)
    return InputError(f"{path} is corrupt ({text}); expected {expected}.")


def read_json(path: str | Path, expected: str) -> dict[str, Any]:
    """Read a JSON object; raise InputError if there is none in the file. `expected` is as in `reading`."""
    with reading(path, expected):
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise corrupt(path, f"it holds a {type(content).__name__}, not a JSON object", expected)
    return content
