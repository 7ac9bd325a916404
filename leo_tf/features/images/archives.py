"""The images of published archives: miniImageNet's cache files and tieredImageNet's arrays."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from leo_tf.data.conversion import LONGEST_NAME
from leo_tf.data.layout import SPLITS
from leo_tf.data.safe_pickle import load_pickle
from leo_tf.errors import InputError
from leo_tf.features.images.source import Source
from leo_tf.files import npz
from leo_tf.files.reading import reading

_Read = tuple[np.ndarray, list[str]]  # images and the class of each


def read_archives(root: Path) -> dict[str, Source]:
    """Return the Source of each split of the archives in a folder; empty if it has none."""
    found = {}
    for split in SPLITS:
        cache = root / f"mini-imagenet-cache-{split}.pkl"
        arrays, names = root / f"{split}_images.npz", root / f"{split}_labels.pkl"
        if not cache.is_file() and not arrays.is_file():
            continue
        path = cache if cache.is_file() else arrays
        images, labels = read_cache(cache) if path is cache else read_arrays(arrays, names)
        found[split] = Source([f"{path.name}#{row}" for row in range(len(images))], labels, images.__getitem__)
    return found


def read_cache(path: Path) -> _Read:
    """Read `mini-imagenet-cache-*.pkl`: a dict of image_data [images, height, width, 3] and class_dict."""
    content = load_pickle(path)
    expected = "a dict with image_data, uint8 [images, height, width, 3], and class_dict, {class: rows}"
    if not isinstance(content, dict) or not isinstance(content.get("class_dict"), dict):
        raise InputError(f"{path}: expected {expected}.")
    images, classes = _images(content.get("image_data"), path, expected), content["class_dict"]
    labels = [""] * len(images)
    for name, rows in classes.items():
        for row in _flat(rows, path, expected):
            if not isinstance(row, int) or not 0 <= row < len(images) or labels[row]:
                raise InputError(
                    f"{path}: class {str(name)[:80]!r} has row {row!r}; expected rows from 0 to {len(images) - 1}, "
                    "each in one class."
                )
            labels[row] = str(name)
    if "" in labels:
        raise InputError(f"{path}: row {labels.index('')} is in no class of class_dict; expected {expected}.")
    return images, labels


def read_arrays(images_path: Path, labels_path: Path) -> _Read:
    """Read `*_images.npz` with an array `images`, and `*_labels.pkl` with `labels` or `label_specific`.

    Classes with names (`label_specific_str`, `label_general_str`) are called `superclass/class`.
    """
    expected = "an .npz with an array 'images', uint8 [images, height, width, 3]"
    if not labels_path.is_file():
        raise InputError(f"{images_path}: {labels_path.name} is not beside it; expected the labels of its images.")
    with reading(images_path, expected):
        npz.check_declared_sizes(images_path, ("images",))
        with np.load(images_path, allow_pickle=False) as archive:
            images = _images(archive["images"], images_path, expected)
    content = load_pickle(labels_path)
    if not isinstance(content, dict) or not ({"labels", "label_specific"} & content.keys()):
        raise InputError(f"{labels_path}: expected a dict with 'labels' or 'label_specific', one for each image.")
    return images, _labels(content, len(images), labels_path)


def _labels(content: Mapping[str, Any], images: int, path: Path) -> list[str]:
    """Return the class name of each image."""
    name = "labels" if "labels" in content else "label_specific"
    numbers = _numbers(content, name, images, path)
    specific, general = content.get("label_specific_str"), content.get("label_general_str")
    if not isinstance(specific, list) or "label_specific" not in content:
        return [str(number) for number in numbers]
    names = _names(numbers, specific, "label_specific_str", path)
    if isinstance(general, list) and "label_general" in content:
        groups = _names(_numbers(content, "label_general", images, path), general, "label_general_str", path)
        names = [f"{group}/{name}" for group, name in zip(groups, names, strict=True)]
    return names


def _numbers(content: Mapping[str, Any], name: str, images: int, path: Path) -> list:
    numbers = _flat(content[name], path, f"{name!r} with one label for each image")
    if len(numbers) != images:
        raise InputError(f"{path}: {len(numbers)} {name} of {images} images; expected one each.")
    return numbers


def _names(numbers: list, names: list, key: str, path: Path) -> list[str]:
    wrong = [number for number in numbers if not isinstance(number, int) or not 0 <= number < len(names)]
    if wrong:
        raise InputError(
            f"{path}: label {str(wrong[0])[:80]!r}; expected numbers from 0 to {len(names) - 1}, of a name in {key}."
        )
    return [str(names[number])[:LONGEST_NAME].replace("/", "|") for number in numbers]


def _flat(values: Any, path: Path, expected: str) -> list:
    """Return an array, a list of numbers or one number as a list."""
    with reading(path, expected):  # rows of different lengths, or nested deeper than an array can be
        return np.asarray(values).ravel().tolist()


def _images(images: Any, path: Path, expected: str) -> np.ndarray:
    if isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.ndim == 4 and images.shape[3] in (1, 3):
        return images
    what = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
    raise InputError(f"{path}: images are {what}; expected {expected}.")
