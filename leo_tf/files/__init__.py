"""Writing files, whole or not at all, and reading small ones back: the only place that does."""

from leo_tf.files.atomic import replace_file
from leo_tf.files.writing import expanded, read_json, require_writable, write_bytes, write_json, write_text, writing

__all__ = [
    "expanded",
    "read_json",
    "replace_file",
    "require_writable",
    "write_bytes",
    "write_json",
    "write_text",
    "writing",
]
