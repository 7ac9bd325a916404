"""The embeddings of one split, sorted by class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leo_tf.data import layout
from leo_tf.data.cache import load_grouped
from leo_tf.data.conversion import Split, check_embeddings, convert_in_memory, join_digests, refuse_shared_classes
from leo_tf.errors import InputError


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """Immutable table of embeddings in which the rows of every class are contiguous.

    Class c occupies `embeddings[class_offsets[c] : class_offsets[c] + class_sizes[c]]`. Build one with `from_arrays`,
    `from_dict` or `load`.

    Attributes:
      embeddings: [rows, dim] float32, read-only; may be memory-mapped.
      class_names: the name of each class.
      class_sizes: [classes] int64, rows of each class.
      digest: SHA-256 of the content in hex, the same for every file format.
      source: origin of the data, for messages.
      normalized: whether every row was scaled to unit Euclidean length.

    Example:
      >>> import numpy as np
      >>> table = leo_tf.EmbeddingTable.from_arrays(np.array([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]]), ["b", "a", "b"])
      >>> table.class_names, table.embeddings.tolist()[0]
      (('a', 'b'), [0.0, 1.0])
    """

    embeddings: np.ndarray
    class_names: tuple[str, ...]
    class_sizes: np.ndarray
    digest: str
    source: str
    normalized: bool

    def __post_init__(self) -> None:
        for name, kind in (("embeddings", None), ("class_sizes", np.int64)):
            view = np.asarray(getattr(self, name), kind).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    def __repr__(self) -> str:
        return f"<EmbeddingTable {self.summary()}>"

    @property
    def class_offsets(self) -> np.ndarray:
        """[classes] int64: the first row of each class."""
        return np.cumsum(self.class_sizes) - self.class_sizes

    @property
    def dim(self) -> int:
        return self.embeddings.shape[1]

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def num_rows(self) -> int:
        return len(self.embeddings)

    @property
    def class_groups(self) -> tuple[str, ...]:
        """The group of each class: its name up to the last slash; empty if it has none."""
        return tuple(name.rpartition("/")[0] for name in self.class_names)

    def of_classes(self, chosen: Callable[[str], bool]) -> "EmbeddingTable":
        """Return a table of the classes for whose names `chosen` returns True; raise InputError if there are none."""
        classes = [number for number, name in enumerate(self.class_names) if chosen(name)]
        if not classes:
            raise InputError(f"None of the {self.num_classes} classes of {self.source} was chosen; expected some.")
        rows = self.embeddings[np.repeat(np.isin(np.arange(self.num_classes), classes), self.class_sizes)]
        names = tuple(self.class_names[number] for number in classes)
        digest = join_digests([self.digest, *(f"{number}" for number in classes)])
        source = f"{self.source}, {len(classes)} classes"
        return type(self)(rows, names, self.class_sizes[classes], digest, source, self.normalized)

    def without_duplicates(self, at_least: int = 1) -> "EmbeddingTable":
        """Return a table in which the rows of a class are distinct: of equal ones the first; itself if all are.

        Every class keeps `at_least` this number of rows if it has them, with duplicates where it must.
        """
        blocks = np.split(self.embeddings, self.class_offsets[1:])
        kept = [_distinct(rows, at_least) for rows in blocks]
        chosen, sizes = np.concatenate(kept), np.array([each.sum() for each in kept], np.int64)
        if chosen.all():
            return self
        digest = join_digests([self.digest, *(f"{row}" for row in np.flatnonzero(~chosen))])
        source = f"{self.source}, without duplicates"
        return type(self)(self.embeddings[chosen], self.class_names, sizes, digest, source, self.normalized)

    def summary(self) -> str:
        """Return one line for the log."""
        smallest, largest = int(self.class_sizes.min()), int(self.class_sizes.max())
        sizes = f"{smallest}" if smallest == largest else f"{smallest} to {largest}"
        length = "unit length" if self.normalized else "length as given"
        return (
            f"{self.source}: {self.num_classes} classes x {sizes} rows ({self.num_rows}), dim {self.dim}, {length}, "
            f"sha256 {self.digest[:12]}"
        )

    @classmethod
    def from_arrays(
        cls,
        embeddings: np.ndarray,
        labels: Sequence[object] | np.ndarray,
        normalize: bool = True,
        source: str = "arrays",
    ) -> "EmbeddingTable":
        """Build a table from a matrix and the class of each row.

        Args:
          embeddings: [rows, dim], float16, float32, float64 or integers; copied.
          labels: [rows] strings or integers. Classes are sorted by name, or by value where they are numbers.
          normalize: scale every row to unit Euclidean length, as the official code does. Rows of zeros stay zero.
          source: a name for messages.

        Raises:
          InputError: the shapes do not match or a number is not finite.
        """
        embeddings = np.asarray(embeddings)
        labels = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)
        check_embeddings(embeddings, len(labels), source)
        return cls(*convert_in_memory([Split(embeddings, labels, source)], normalize), source, normalize)

    @classmethod
    def from_dict(
        cls, classes: Mapping[str, np.ndarray], normalize: bool = True, source: str = "arrays"
    ) -> "EmbeddingTable":
        """Build a table from {class name: embeddings [rows of the class, dim]}; see `from_arrays`."""
        if not classes:
            raise InputError(f"{source}: no classes; expected a dict of class name to embeddings [rows, dim].")
        arrays = {name: np.asarray(rows) for name, rows in classes.items()}
        dim = next(iter(arrays.values())).shape[-1:]
        for name, rows in arrays.items():
            if rows.ndim != 2 or len(rows) == 0 or rows.shape[1:] != dim:
                raise InputError(
                    f"{source}: class {name!r} has embeddings of shape {rows.shape}; expected [rows, dim] with at "
                    "least one row and the same dim in every class."
                )
        labels = [name for name, rows in arrays.items() for _ in range(len(rows))]
        return cls.from_arrays(np.concatenate(list(arrays.values())), labels, normalize, source)

    @classmethod
    def load(
        cls,
        data_path: str | Path | None,
        dataset_name: str,
        split: str,
        embedding_crop: str = "center",
        train_on_val: bool = False,
        normalize: bool = True,
        download: bool = True,
        cache_dir: str | Path | None = None,
    ) -> "EmbeddingTable":
        """Load one split of a data set, from a memory-mapped cache after the first time.

        Args:
          data_path: folder of the data sets, see `layout.find_split`; if empty, the one that downloads are unpacked to.
          dataset_name: a folder in it; "glyphs" is built in and needs no folder.
          split: "train", "val" or "test".
          embedding_crop: "center" or "multiview".
          train_on_val: with split "train", add the classes of "val".
          normalize: scale every row to unit Euclidean length.
          download: whether a published data set that is missing may be downloaded.
          cache_dir: for converted tables and downloads; if empty, the user's cache folder.

        Raises:
          InputError: there is no such split, or its file is invalid.
        """
        layout.check_names(split, embedding_crop)
        splits = ["train", "val"] if train_on_val and split == "train" else [split]
        if dataset_name == "glyphs":
            from leo_tf.data.glyphs import load_split

            return cls.join([cls.from_arrays(*load_split(name), normalize, f"glyphs/{name}") for name in splits])
        paths = [
            layout.locate_split(data_path, dataset_name, embedding_crop, name, download, cache_dir) for name in splits
        ]
        return cls(*load_grouped(paths, normalize, cache_dir), " + ".join(map(str, paths)), normalize)

    @classmethod
    def join(cls, tables: Sequence["EmbeddingTable"]) -> "EmbeddingTable":
        """Concatenate tables of the same dim and normalisation without common classes, such as train and val."""
        if not tables:
            raise InputError("No tables to join; expected at least one.")
        if len(tables) == 1:
            return tables[0]
        names: list[str] = []
        for table in tables:
            if (table.dim, table.normalized) != (tables[0].dim, tables[0].normalized):
                raise InputError(
                    f"Cannot join {table.summary()} with {tables[0].summary()}: expected the same dim and "
                    "normalisation."
                )
            refuse_shared_classes(names, table.class_names, table.source)
            names += table.class_names
        return cls(
            np.concatenate([table.embeddings for table in tables]),
            tuple(names),
            np.concatenate([table.class_sizes for table in tables]),
            join_digests([table.digest for table in tables]),
            " + ".join(table.source for table in tables),
            tables[0].normalized,
        )


def _distinct(rows: np.ndarray, at_least: int) -> np.ndarray:
    """Return which rows [rows, dim] are the first of their kind, and the first others up to `at_least`, bool [rows]."""
    first: dict[bytes, int] = {}
    for number, row in enumerate(rows):
        first.setdefault(row.tobytes(), number)
    kept = np.zeros(len(rows), bool)
    kept[list(first.values())] = True
    kept[np.flatnonzero(~kept)[: max(0, at_least - len(first))]] = True
    return kept
