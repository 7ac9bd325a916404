"""Reading and writing files, each in one place; the only package that opens what users bring."""

from leo_tf.files.reading import identity, read_json
from leo_tf.files.writing import (
    expanded,
    printable,
    replace_file,
    require_writable,
    write_bytes,
    write_json,
    write_text,
    writing,
)

__all__ = [
    "expanded",
    "identity",
    "printable",
    "read_json",
    "replace_file",
    "require_writable",
    "write_bytes",
    "write_json",
    "write_text",
    "writing",
]
