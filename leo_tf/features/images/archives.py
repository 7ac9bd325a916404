"""The images of published archives: miniImageNet's cache files and tieredImageNet's arrays."""

import zipfile

import numpy as np

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
        for row in np.asarray(rows).ravel().tolist():
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
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{images_path}: cannot be read ({str(error)[:200]}); expected {expected}.") from None
    content = load_pickle(labels_path)
    if not isinstance(content, dict) or not ({"labels", "label_specific"} & content.keys()):
        raise InputError(f"{labels_path}: expected a dict with 'labels' or 'label_specific', one for each image.")
    numbers = np.asarray(content["labels"] if "labels" in content else content["label_specific"]).ravel()
    if len(numbers) != len(images):
        raise InputError(f"{labels_path}: {len(numbers)} labels of {len(images)} images; expected one each.")
    return images, _names(numbers.tolist(), content)


def _names(numbers, content):
    special, general = content.get("label_specific_str"), content.get("label_general_str")
    if not isinstance(special, list) or "label_specific" not in content:
        return [str(number) for number in numbers]
    names = [str(special[number]).replace("/", "|") for number in numbers]
    if isinstance(general, list) and "label_general" in content:
        groups = np.asarray(content["label_general"]).ravel().tolist()
        names = [f"{str(general[g]).replace('/', '|')}/{n}" for g, n in zip(groups, names, strict=True)]
    return names


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
