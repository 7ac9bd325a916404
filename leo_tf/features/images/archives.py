"""The images of published archives: miniImageNet's cache files and tieredImageNet's arrays."""

import numpy as np

from leo_tf.data.conversion import LONGEST_NAME
from leo_tf.data.safe_pickle import load_pickle
from leo_tf.errors import InputError
from leo_tf.files import npz

_CACHE = "mini-imagenet-cache-{}.pkl"


def read_cache(path):
    """Read `mini-imagenet-cache-*.pkl`: a dict of image_data [images, height, width, 3] and class_dict.

    Returns:
      (arrays, labels): uint8 images, left in the file where it is large, and the name of each one's class.

    Raises:
      InputError: the file is damaged, no data, or something else.
    """
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


def read_arrays(images_path, labels_path):
    """Read `*_images.npz` with an array `images`, and `*_labels.pkl` with `labels` or `label_specific`.

    Where the labels have names (`label_specific_str`) and super-classes (`label_general_str`), a class is called
    `superclass/class`, so that super-classes are its groups.

    Returns, raises: as `read_cache`.
    """
    expected = "an .npz with an array 'images', uint8 [images, height, width, 3]"
    try:
        npz.require_honest(images_path, ("images",))
        with np.load(images_path, allow_pickle=False) as archive:
            images = _images(archive["images"], images_path, expected)
    except OSError as error:
        raise InputError(f"Cannot read {images_path} ({error.strerror or error}); expected {expected}.") from None
    except InputError:
        raise
    except npz.DAMAGE as error:
        raise npz.damaged(images_path, error, expected) from None
    content = load_pickle(labels_path)
    if not isinstance(content, dict) or not ({"labels", "label_specific"} & content.keys()):
        raise InputError(f"{labels_path}: expected a dict with 'labels' or 'label_specific', one for each image.")
    return images, _labels(content, len(images), labels_path)


def _labels(content, images, path):
    """Return the name of each image's class."""
    name = "labels" if "labels" in content else "label_specific"
    numbers = _numbers(content, name, images, path)
    special, general = content.get("label_specific_str"), content.get("label_general_str")
    if not isinstance(special, list) or "label_specific" not in content:
        return [str(number) for number in numbers]
    names = _named(numbers, special, "label_specific_str", path)
    if isinstance(general, list) and "label_general" in content:
        groups = _named(_numbers(content, "label_general", images, path), general, "label_general_str", path)
        names = [f"{group}/{name}" for group, name in zip(groups, names, strict=True)]
    return names


def _numbers(content, name, images, path):
    numbers = _flat(content[name], path, f"{name!r} with one label for each image")
    if len(numbers) != images:
        raise InputError(f"{path}: {len(numbers)} {name} of {images} images; expected one each.")
    return numbers


def _named(numbers, names, what, path):
    wrong = [number for number in numbers if not isinstance(number, int) or not 0 <= number < len(names)]
    if wrong:
        raise InputError(
            f"{path}: label {str(wrong[0])[:80]!r}; expected numbers from 0 to {len(names) - 1}, of a name in {what}."
        )
    return [str(names[number])[:LONGEST_NAME].replace("/", "|") for number in numbers]


def _flat(values, path, expected):
    """Return a list of what may be an array, a list of numbers or one number."""
    try:
        return np.asarray(values).ravel().tolist()
    except npz.DAMAGE as error:  # rows of different lengths, or nested deeper than an array can be
        raise npz.damaged(path, error, expected) from None


def find_archives(root, splits):
    """Return {split: (reader, paths)} of the archives in a folder; empty if it has none."""
    found: dict[str, tuple] = {}
    for split in splits:
        cache = root / _CACHE.format(split)
        arrays, labels = root / f"{split}_images.npz", root / f"{split}_labels.pkl"
        if cache.is_file():
            found[split] = read_cache, (cache,)
        elif arrays.is_file():
            if not labels.is_file():
                raise InputError(f"{arrays}: {labels.name} is not beside it; expected the labels of its images there.")
            found[split] = read_arrays, (arrays, labels)
    return found


def _images(images, path, expected):
    if isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.ndim == 4 and images.shape[3] in (1, 3):
        return images
    what = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
    raise InputError(f"{path}: images are {what}; expected {expected}.")
