"""The images of one split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leo_tf.files import printable


@dataclass(frozen=True)
class Source:
    """The images of one split, by number; `read(i)` returns a file's bytes or uint8 [height, width, channels]."""

    names: Sequence[str]  # for people: a path below the root, or a file and a row
    labels: Sequence[str]  # class of each image, `group/class` if classes have groups
    read: Callable[[int], bytes | np.ndarray]

    @classmethod
    def of_files(cls, root: Path, files: Sequence[Path], labels: Sequence[str]) -> "Source":
        """Return the Source of files; their names are relative to `root`, and `printable`."""
        names = [f.relative_to(root).as_posix() if f.is_relative_to(root) else str(f) for f in files]
        return cls([printable(name) for name in names], labels, lambda i: files[i].read_bytes())

    def __len__(self) -> int:
        return len(self.names)

    @property
    def classes(self) -> list[str]:
        """Names of the classes, sorted."""
        return sorted(set(self.labels))

    def subset(self, numbers: Sequence[int]) -> "Source":
        """Return the Source of the images with these numbers."""
        names, labels = ([values[i] for i in numbers] for values in (self.names, self.labels))
        return Source(names, labels, lambda i: self.read(numbers[i]))
