"""The images of a folder; its layout, one of docs/own-images.md, is recognised by what it contains."""

import csv
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from leo_tf.data.layout import SPLITS
from leo_tf.errors import InputError
from leo_tf.features.images.archives import read_archives
from leo_tf.features.images.source import Source
from leo_tf.files import expanded
from leo_tf.files.reading import reading

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".jfif", ".ppm", ".pgm"})
_EXPECTED = "class folders, or train/, val/ and test/ with class folders in them, or images/ with train.csv"
_Classes = Mapping[str, list[Path]]


class ImageSet(NamedTuple):
    """The images of a folder by split."""

    splits: dict[str, Source]
    layout: str  # in words
    drawn: bool  # whether the split was drawn here, by fractions

    def summary(self) -> str:
        """Return one line for the log."""
        parts = [f"{split} {len(s.classes)} classes, {len(s)} images" for split, s in self.splits.items()]
        return f"{self.layout}: {'; '.join(parts)}"


def find_images(root: str | Path, split_fractions: str = "", split_seed: int = 0) -> ImageSet:
    """Find the images of a folder by split; a folder of classes is split by fractions, as "0.64,0.16,0.2"."""
    root = expanded(root)
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; expected one with {_EXPECTED}.", "images")
    archives = read_archives(root)
    found = ImageSet(archives, "archives of arrays", False) if archives else _file_lists(root) or _split_folders(root)
    if found is None:
        found = _class_folders(root, split_fractions, split_seed)
    elif split_fractions:
        raise InputError(
            f"split_fractions={split_fractions} was given, but {root} is already split ({found.layout}); leave it out.",
            "split_fractions",
        )
    _refuse_shared_classes(found.splits, root)
    return found


def find_classes(folder: Path, top: Path | None = None) -> dict[str, list[Path]]:
    """Return {class name: image files} of the folders below a folder; the name is the path relative to `top`."""
    found: dict[str, list[Path]] = {}
    children = sorted(child for child in folder.iterdir() if not child.name.startswith((".", "__MACOSX")))
    folders = [child for child in children if child.is_dir()]
    images = [child for child in children if child.suffix.lower() in EXTENSIONS and not child.is_dir()]
    if top and images and folders:
        raise InputError(
            f"{folder} has both images and folders ({folders[0].name}); expected a class, with images, or a group, "
            "with classes."
        )
    if top and not images and not folders:
        raise InputError(f"{folder} has no images ({', '.join(sorted(EXTENSIONS))}); add images or remove it.")
    if top and images:
        found[folder.relative_to(top).as_posix()] = images
    for child in folders:
        found |= find_classes(child, top or folder)
    return found


def _file_lists(root: Path) -> ImageSet | None:
    paths = {split: root / f"{split}.csv" for split in SPLITS if (root / f"{split}.csv").is_file()}
    folder = root / "images" if (root / "images").is_dir() else root
    splits = {split: _file_list(path, folder, root) for split, path in paths.items()}
    return ImageSet(splits, "lists of files", False) if splits else None


def _file_list(path: Path, folder: Path, root: Path) -> Source:
    with reading(path, "columns filename, label"), open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"filename", "label"} <= rows[0].keys():
        raise InputError(f"{path} has no columns filename and label, or no rows; expected both.")
    files = [folder / (row["filename"] or "") for row in rows]
    missing = [file for file in files if not os.path.isfile(file)]  # also of a name that is too long
    if missing:
        raise InputError(
            f"{path} names {len(missing)} files that do not exist, first {str(missing[0])[:300]}; expected files in "
            f"{folder}."
        )
    twice = [name for name, times in Counter(row["filename"] for row in rows).items() if times > 1]
    if twice:
        raise InputError(f"{path} names {twice[0]} twice; expected every file once.")
    if not all(row["label"] for row in rows):
        raise InputError(f"{path} has a row without a label; expected one for every file.")
    return Source.of_files(root, files, [row["label"] for row in rows])


def _split_folders(root: Path) -> ImageSet | None:
    present = [split for split in SPLITS if (root / split).is_dir()]
    if "train" not in present and not (present and {child.name for child in root.iterdir()} <= set(SPLITS)):
        return None
    splits = {split: _source(root, find_classes(root / split), root / split) for split in present}
    return ImageSet(splits, "folders of splits", False)


def _class_folders(root: Path, split_fractions: str, split_seed: int) -> ImageSet:
    classes = find_classes(root)
    if not classes:
        raise InputError(f"{root} has no folders of images; expected {_EXPECTED}.", "images")
    if not split_fractions:
        raise InputError(
            f"{root} has {len(classes)} classes that are not split; give split_fractions=0.64,0.16,0.2, the shares of "
            "train, val and test (0,0,1 uses all for testing).",
            "split_fractions",
        )
    chosen = split_classes(list(classes), _parse_fractions(split_fractions), split_seed)
    splits = {
        split: _source(root, {name: files for name, files in classes.items() if chosen[name] == split}, root)
        for split in SPLITS
        if split in chosen.values()
    }
    return ImageSet(splits, "folders of classes", True)


def _parse_fractions(text: str) -> list[float]:
    """Parse the shares of train, val and test, as "0.64,0.16,0.2"."""
    try:
        fractions = [float(part) for part in text.split(",")]
    except ValueError:
        fractions = []
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(
            f"split_fractions={text} was given; expected the shares of train, val and test, as 0.64,0.16,0.2, which "
            "sum to 1.",
            "split_fractions",
        )
    return fractions


def split_classes(names: Iterable[str], fractions: Sequence[float], seed: int) -> dict[str, str]:
    """Assign every class to a split, {class name: split}; classes of one group, `group/class`, stay together.

    Every share of train, val and test that is above 0 gets at least one class or group.
    """
    units = {name: name.rpartition("/")[0] or name for name in names}
    unique = sorted(set(units.values()))
    wanted = [split for split, share in zip(SPLITS, fractions, strict=True) if share > 0]
    if len(unique) < len(wanted):
        raise InputError(
            f"{len(unique)} class{'es' * (len(unique) != 1)} cannot be split into {', '.join(wanted)}; expected at "
            "least one class, or one group of classes, for each. Give other split_fractions or more classes.",
            "split_fractions",
        )
    counts = _counts(fractions, len(unique))
    order = [unique[i] for i in np.random.default_rng(seed).permutation(len(unique))]
    split_of = dict(zip(order, np.repeat(SPLITS, counts).tolist(), strict=True))
    return {name: split_of[unit] for name, unit in units.items()}


def _counts(fractions: Sequence[float], total: int) -> list[int]:
    """Divide `total` by fractions, at least 1 for each above 0."""
    counts = [max(int(share > 0), round(share * total)) for share in fractions]
    while sum(counts) != total:  # give to, or take from, the largest
        counts[counts.index(max(counts))] += 1 if sum(counts) < total else -1
    return counts


def _source(root: Path, classes: _Classes, folder: Path) -> Source:
    if not classes:
        raise InputError(f"{folder} has no folders of images; expected a folder for each class.", "images")
    labels = [name for name, files in classes.items() for _ in files]
    return Source.of_files(root, [file for files in classes.values() for file in files], labels)


def _refuse_shared_classes(splits: Mapping[str, Source], root: Path) -> None:
    split_of: dict[str, str] = {}
    for split, source in splits.items():
        for name in source.classes:
            if name in split_of:
                raise InputError(
                    f"{root}: class {name!r} is in both {split_of[name]} and {split}; expected different classes in "
                    "each split, because a few-shot model is tested on new classes."
                )
            split_of[name] = split
