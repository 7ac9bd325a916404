"""The finished part of a split's embeddings, with which a stopped extraction resumes."""

import json
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from leo_tf.files import write_json, writing

_NOTE_INTERVAL = 5.0  # seconds


class Parts:
    """A file of embeddings, written one batch after another, and a note of their number; a context to add more in.

    `key` describes, for JSON, what was embedded and by what; files with another key are ignored.
    """

    def __init__(self, folder: str | Path, split: str, key: Any, dim: int) -> None:
        self._folder, self._key, self._dim = Path(folder), json.loads(json.dumps(key)), dim
        self._rows_file, self._note_file = self._folder / f"{split}.f32", self._folder / f"{split}.json"
        self.done, self.skipped = self._resumed()

    def __enter__(self) -> "Parts":
        with self._writing():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = open(self._rows_file, "r+b" if self._rows_file.exists() else "w+b")
            self._file.truncate(self.done * self._dim * 4)
            self._file.seek(0, 2)
        self._noted = time.monotonic()
        return self

    def __exit__(self, kind: type | None, *_: Any) -> None:
        with self._writing():
            if kind is None:
                self._write_note()
            self._file.close()

    def add(self, rows: np.ndarray, skipped: Mapping[int, str]) -> None:
        """Add embeddings float32 [n, dim], and why images are unreadable, {number: reason}."""
        self.skipped |= skipped
        with self._writing():
            self._file.write(rows.astype("<f4").data)
            self.done += len(rows)
            if time.monotonic() - self._noted > _NOTE_INTERVAL:
                self._write_note()
                self._noted = time.monotonic()

    def embeddings(self) -> np.ndarray:
        """Return all of them, float32 [images, dim], memory-mapped."""
        return np.memmap(self._rows_file, "<f4", "r", shape=(self.done, self._dim))

    def _write_note(self) -> None:
        self._file.flush()
        write_json(self._note_file, {"key": self._key, "done": self.done, "skipped": self.skipped})

    def _resumed(self) -> tuple[int, dict[int, str]]:
        """Return (finished images, reasons of the skipped ones) of a stopped extraction with the same key."""
        try:
            note = json.loads(self._note_file.read_text(encoding="utf-8"))
            size = self._rows_file.stat().st_size
            if note["key"] == self._key and size >= note["done"] * self._dim * 4:
                return note["done"], {int(number): reason for number, reason in note["skipped"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        return 0, {}

    def _writing(self) -> AbstractContextManager[None]:
        return writing(self._folder, "give an output that can be written")
