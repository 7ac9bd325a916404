"""Read a pickle that may be hostile: only NumPy arrays, numbers, strings and plain containers."""

import pickle
from pathlib import Path

from leo_tf.errors import InputError

_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module.replace("numpy._core", "numpy.core"), name) not in _ALLOWED:
            raise InputError(f"the pickle asks for {module}.{name}, which embeddings do not need; it was not run.")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def load_pickle(path: str | Path) -> object:
    """Return the content of a pickle file."""
    with open(path, "rb") as file:
        return _Unpickler(file, encoding="latin1").load()
