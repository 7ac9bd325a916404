"""What of a split is embedded so far: a stopped extraction goes on where it was."""

import json
import time
from pathlib import Path

import numpy as np

from leo_tf.files import write_json, writing

_BETWEEN_NOTES = 5.0  # seconds


class Parts:
    """Embeddings of a split in a file, one after another, and a note of how many there are; a context to add more in.

    Args:
      folder: of the two files.
      split: their name.
      key: what the embeddings are of and made by, which goes to JSON: where that was another one, there are none yet.
      dim: of an embedding.

    Raises:
      InputError: the folder cannot be written.
    """

    def __init__(self, folder, split, key, dim):
        self._folder, self._key, self._dim = Path(folder), json.loads(json.dumps(key)), dim
        self._rows_file, self._note_file = self._folder / f"{split}.f32", self._folder / f"{split}.json"
        self.done, self.skipped = self._resumed()

    def __enter__(self):
        with self._writing():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = open(self._rows_file, "r+b" if self._rows_file.exists() else "w+b")
            self._file.truncate(self.done * self._dim * 4)
            self._file.seek(0, 2)
        self._noted = time.monotonic()
        return self

    def __exit__(self, kind, *_):
        with self._writing():
            if kind is None:
                self._note()
            self._file.close()

    def add(self, rows, skipped):
        """Add embeddings float32 [n, dim], and why images could not be read, {number: why}."""
        self.skipped |= skipped
        with self._writing():
            self._file.write(rows.astype("<f4").data)
            self.done += len(rows)
            if time.monotonic() - self._noted > _BETWEEN_NOTES:
                self._note()
                self._noted = time.monotonic()

    def embeddings(self):
        """Return all of them, float32 [images, dim], memory-mapped."""
        return np.memmap(self._rows_file, "<f4", "r", shape=(self.done, self._dim))

    def _note(self):
        self._file.flush()
        write_json(self._note_file, {"key": self._key, "done": self.done, "skipped": self.skipped})

    def _resumed(self):
        """Return (images done, skipped) of a stopped extraction of the same images; (0, {}) where there is none."""
        try:
            note = json.loads(self._note_file.read_text(encoding="utf-8"))
            size = self._rows_file.stat().st_size
            if note["key"] == self._key and size >= note["done"] * self._dim * 4:
                return note["done"], note["skipped"]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return 0, {}

    def _writing(self):
        return writing(self._folder, "give an output that can be written")
