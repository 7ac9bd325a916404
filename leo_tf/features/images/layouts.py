"""What is on people's disks: which arrangement a folder has is found by looking.

root/{train,val,test}/[group/]class/*.jpg
root/[group/]class/*.jpg                                   split by `split_fractions`
root/images/ and root/{train,val,test}.csv                 columns filename, label
root/mini-imagenet-cache-{train,val,test}.pkl
root/{train,val,test}_images.npz and _labels.pkl
"""

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from leo_tf.data.layout import SPLITS
from leo_tf.errors import InputError
from leo_tf.features.images.archives import find_archives
from leo_tf.features.images.splits import parse_fractions, split_classes
from leo_tf.files import expanded

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".jfif", ".ppm", ".pgm"})
_USUAL = "class folders, or train/, val/ and test/ with class folders in them, or images/ with train.csv"


@dataclass(frozen=True)
class Source:
    """The images of one split; `read(i)` gives the bytes of a file or uint8 [height, width, channels]."""

    names: Sequence[str]  # of every image, to be recognised by: a path below the root, or file and row
    labels: Sequence[str]  # of every image: its class, `group/class` where classes have groups
    read: Callable

    def __len__(self):
        return len(self.names)

    @property
    def classes(self):
        """Names of the classes, sorted."""
        return sorted(set(self.labels))


class ImageSet(NamedTuple):
    """What `find_images` found."""

    splits: dict[str, Source]
    layout: str  # in words
    drawn: bool  # whether the split was drawn here, by fractions

    def summary(self):
        """Return one line for the log."""
        parts = [f"{split} {len(s.classes)} classes, {len(s)} images" for split, s in self.splits.items()]
        return f"{self.layout}: {'; '.join(parts)}"


def find_images(root, split_fractions="", split_seed=0):
    """Find the images of a folder by split.

    Args:
      root: the folder.
      split_fractions: "0.64,0.16,0.2" splits a folder of classes by class; classes in groups, as characters in
        alphabets, by group.
      split_seed: int, of that split.

    Returns:
      ImageSet with the splits that there are.

    Raises:
      InputError: there is no such folder or nothing known in it, a class is empty, or a class is in two splits.
    """
    root = expanded(root)
    if not root.is_dir():
        raise InputError(f"{root} is no folder; expected one with {_USUAL}.")
    found = _archives(root) or _lists(root) or _split_folders(root)
    if found is None:
        found = _one_folder(root, split_fractions, split_seed)
    elif split_fractions:
        raise InputError(
            f"split_fractions={split_fractions} was given, but {root} is split already ({found.layout}); leave it out."
        )
    _refuse_shared(found.splits, root)
    return found


def find_classes(folder):
    """Return {class name: files} of every folder with images below a folder; a name is the path to it.

    Raises:
      InputError: a folder is empty, or has both images and folders of images.
    """
    found: dict[str, list[Path]] = {}
    _collect(Path(folder), Path(folder), found)
    return found


def source_of_files(root, files, labels):
    """Return the Source of files below a folder."""
    files = list(files)
    return Source([_below(root, file) for file in files], labels, lambda i: files[i].read_bytes())


def _below(root, file):
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


def _collect(top, folder, found):
    children = sorted(child for child in folder.iterdir() if not child.name.startswith((".", "__MACOSX")))
    folders = [child for child in children if child.is_dir()]
    images = [child for child in children if child.suffix.lower() in ENDINGS and not child.is_dir()]
    if images and folders and folder != top:
        raise InputError(
            f"{folder} has both images and folders ({folders[0].name}); expected a class, with images, or a group, "
            "with classes."
        )
    if not images and not folders:
        if folder == top:
            return
        raise InputError(
            f"{folder} has no images ({', '.join(sorted(ENDINGS))}); a class must have some. Add images or remove it."
        )
    if folder != top and images:
        found[folder.relative_to(top).as_posix()] = images
    for child in folders:
        _collect(top, child, found)


def _archives(root):
    found = find_archives(root, SPLITS)
    splits = {}
    for split, (reader, paths) in found.items():
        arrays, labels = reader(*paths)
        names = [f"{paths[0].name}#{row}" for row in range(len(arrays))]
        splits[split] = Source(names, labels, arrays.__getitem__)
    return ImageSet(splits, "archives of arrays", False) if splits else None


def _lists(root):
    paths = {split: root / f"{split}.csv" for split in SPLITS if (root / f"{split}.csv").is_file()}
    if not paths:
        return None
    folder = root / "images" if (root / "images").is_dir() else root
    return ImageSet({split: _listed(path, folder, root) for split, path in paths.items()}, "lists of files", False)


def _listed(path, folder, root):
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({str(error)[:200]}); expected columns filename, label.") from None
    if not rows or not {"filename", "label"} <= rows[0].keys():
        raise InputError(f"{path} has no columns filename and label, or no rows; expected both.")
    files = [folder / (row["filename"] or "") for row in rows]
    missing = [file for file in files if not _is_file(file)]
    if missing:
        raise InputError(
            f"{path} names {len(missing)} files that are not there, the first is {str(missing[0])[:300]}; expected "
            f"files in {folder}."
        )
    twice = [name for name, times in Counter(row["filename"] for row in rows).items() if times > 1]
    if twice:
        raise InputError(f"{path} names {twice[0]} twice; expected every file once.")
    if not all(row["label"] for row in rows):
        raise InputError(f"{path} has a row without label; expected one for every file.")
    return source_of_files(root, files, [row["label"] for row in rows])


def _is_file(path):
    try:
        return path.is_file()
    except OSError:  # a name longer than the disk has any
        return False


def _split_folders(root):
    there = [split for split in SPLITS if (root / split).is_dir()]
    if "train" not in there and not (there and {child.name for child in root.iterdir()} <= set(SPLITS)):
        return None
    splits = {split: _source(root, find_classes(root / split), root / split) for split in there}
    return ImageSet(splits, "folders of splits", False)


def _one_folder(root, split_fractions, split_seed):
    classes = find_classes(root)
    if not classes:
        raise InputError(f"{root} holds no folders of images; expected {_USUAL}.")
    if not split_fractions:
        raise InputError(
            f"{root} has {len(classes)} classes and no split of them; give split_fractions=0.64,0.16,0.2, the shares "
            "of train, val and test (0,0,1 takes all for testing)."
        )
    chosen = split_classes(list(classes), parse_fractions(split_fractions), split_seed)
    splits = {
        split: _source(root, {name: files for name, files in classes.items() if chosen[name] == split}, root)
        for split in SPLITS
        if split in chosen.values()
    }
    return ImageSet(splits, "folders of classes", True)


def _source(root, classes, folder):
    if not classes:
        raise InputError(f"{folder} holds no folders of images; expected a folder for each class.")
    files = [file for each in classes.values() for file in each]
    return source_of_files(root, files, [name for name, each in classes.items() for _ in each])


def _refuse_shared(splits, root):
    seen: dict[str, str] = {}
    for split, source in splits.items():
        for name in source.classes:
            if name in seen:
                raise InputError(
                    f"{root}: class {name!r} is in {seen[name]} and in {split}; expected splits with classes of their "
                    "own, for a few-shot model is tested on classes that it has not seen."
                )
            seen[name] = split
