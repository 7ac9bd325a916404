"""Folders as users bring them: one with every unusual kind of image, and every kind of wrong folder."""

import io
import logging
import shutil
import struct
import zlib

import numpy as np
import pytest
from drawn_images import picture, write_classes
from PIL import Image

from leo_tf import InputError
from leo_tf.features.backbones import make_extractor
from leo_tf.features.extract.extraction import Extraction
from leo_tf.features.images import find_images, inspect


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rotated(image, kind, **options):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    return encoded(image.transpose(Image.Transpose.ROTATE_90), kind, exif=exif, **options)


def bomb():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def smooth(size=48):
    """A grey image without noise or symmetry, which every format keeps."""
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
    return Image.fromarray(np.rint(60 + 90 * x * x + 100 * y).astype(np.uint8))


GREY = smooth()
RGB = GREY.convert("RGB")
UNUSUAL = {
    "upright.jpg": encoded(RGB, "JPEG", quality=98),
    "grey.jpg": encoded(GREY, "JPEG", quality=98),
    "cmyk.jpg": encoded(RGB.convert("CMYK"), "JPEG", quality=98),
    "rotated.jpg": rotated(RGB, "JPEG", quality=98),
    "rotated.png": rotated(RGB, "PNG"),
    "rgba.png": encoded(RGB.convert("RGBA")),
    "deep.png": encoded(Image.fromarray(np.asarray(GREY).astype(np.uint16) << 8)),
    "deep.tif": encoded(Image.fromarray(np.asarray(GREY).astype(np.uint16) << 8), "TIFF"),
    "wrong_ending.png": encoded(RGB, "JPEG", quality=98),
    "web.webp": encoded(RGB, "WEBP", lossless=True),
}
CORRUPT = {
    "empty.jpg": (b"", "it is empty"),
    "page.jpg": (b"<html>404</html>", "it is not an image"),
    "cut_off.png": (encoded(Image.fromarray(picture(0, 0, 64)))[:2000], "it is corrupt"),
    "bomb.png": (bomb(), "declares"),
}


def test_unusual_images_are_embedded_and_corrupt_ones_skipped(features_run, tmp_path, caplog):
    """Unusual images have the embedding of the plain one; corrupt ones are named, with the reason, and skipped."""
    write_classes(tmp_path / "images", range(2), size=48)
    for name_of_class, files in {
        "odd": UNUSUAL,
        "c01": {name: content for name, (content, _) in CORRUPT.items()},
    }.items():
        (tmp_path / "images" / name_of_class).mkdir(exist_ok=True)
        for name, content in files.items():
            (tmp_path / "images" / name_of_class / name).write_bytes(content)
    (tmp_path / "images" / "odd" / "plain.png").write_bytes(encoded(RGB))
    (tmp_path / "images" / "odd" / "notes.txt").write_text("not an image, and not named like one")
    extractor = make_extractor(features_run)
    with caplog.at_level(logging.WARNING, "leo_tf"):
        inspected = inspect(find_images(tmp_path / "images", "0,0,1").splits, max_unreadable=0.2)["test"]
        found = Extraction(extractor, tmp_path / "parts", max_unreadable=0.2).run(inspected, "test")
    for name, (_, reason) in CORRUPT.items():
        logged = caplog.text[caplog.text.index(f"c01/{name}: ") :]
        assert reason in logged.splitlines()[0].partition(";")[0], name
    rows = dict(zip(found.source.names, found.embeddings, strict=True))
    assert len(rows) == 12 + len(UNUSUAL) + 1 and not any(
        "notes" in name or name.endswith("empty.jpg") for name in rows
    )
    plain = rows["odd/plain.png"]
    sideways = extractor(extractor.loader.square(np.rot90(np.asarray(RGB)).copy())[np.newaxis])[0]
    for name in UNUSUAL:
        distance = np.linalg.norm(rows[f"odd/{name}"] - plain)
        assert distance < 0.2 * np.linalg.norm(sideways - plain), (name, distance, np.linalg.norm(sideways - plain))


def two_splits(folder):
    write_classes(folder / "train", [0, 1], images=2)
    write_classes(folder / "val", [2, 3], images=2)
    return folder


def same_image(folder):
    shutil.copy(two_splits(folder) / "train/c00/0.png", folder / "val/c02/copy.png")


def same_class(folder):
    write_classes(two_splits(folder) / "val", [1], images=2, size=30)


def empty_class(folder):
    (two_splits(folder) / "train/c09").mkdir()


def only_corrupt(folder):
    for path in (two_splits(folder) / "val/c03").iterdir():
        path.write_bytes(b"x")


def too_many_corrupt(folder):
    two_splits(folder)
    for name in ("c00", "c01"):
        (folder / "train" / name / "0.png").write_bytes(b"x")


def no_images(folder):
    (folder / "train").mkdir()
    (folder / "train" / "readme.txt").write_text("empty")


WRONG = {
    same_image: r"train/c00/0\.png and val/c02/copy\.png are the same image, in train and in val",
    same_class: "class 'c01' is in both train and val",
    empty_class: "c09 has no images",
    only_corrupt: "2 of 4 images of val cannot be read, more than max_unreadable=0.01 allows: val/c03",
    too_many_corrupt: r"2 of 4 images of train cannot be read.*train/c00/0\.png: it is not an image",
    no_images: "has no folders of images",
}


@pytest.mark.parametrize("damage", WRONG, ids=lambda damage: damage.__name__)
def test_wrong_folders_are_refused(damage, tmp_path):
    damage(tmp_path)
    with pytest.raises(InputError, match=WRONG[damage]):
        inspect(find_images(tmp_path).splits)


def test_class_of_corrupt_images_is_refused_whatever_the_limit(tmp_path):
    only_corrupt(tmp_path)
    with pytest.raises(InputError, match="Class 'c03' of val has no readable image"):
        inspect(find_images(tmp_path).splits, max_unreadable=0.9)
