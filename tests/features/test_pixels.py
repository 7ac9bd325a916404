"""Every kind of image is decoded as it looks; corrupt and malicious ones are refused with name and reason."""

import io
import logging
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from drawn_images import picture, write_classes
from PIL import Image

from leo_tf import InputError
from leo_tf.features.images import Loader, Preprocessing, find_images, inspect
from leo_tf.features.images.decoding import squares_of
from leo_tf.features.images.preprocessing import decode
from leo_tf.files import pixels
from leo_tf.files.pixels import UnreadableError

PLAIN = Preprocessing(16, 16, mean=(0,) * 3, scale=(1,) * 3)


@pytest.fixture(scope="module")
def loader():
    return Loader(PLAIN)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def smooth():
    """uint8 [16, 16, 3], a gradient that survives JPEG, different in every corner and channel."""
    x, y = np.meshgrid(np.linspace(0, 1, 16), np.linspace(0, 1, 16))
    return np.rint(np.stack([220 * x, 200 * y, 255 - 120 * (x + y)], axis=-1)).astype(np.uint8)


EXACT = {
    "png": lambda i: encoded(i, "PNG"),
    "palette": lambda i: encoded(i.convert("P", palette=Image.Palette.ADAPTIVE, colors=256), "PNG"),
    "rgba": lambda i: encoded(i.convert("RGBA"), "PNG"),
    "bmp": lambda i: encoded(i, "BMP"),
    "tiff": lambda i: encoded(i, "TIFF"),
    "webp": lambda i: encoded(i, "WEBP", lossless=True),
    "ppm": lambda i: encoded(i, "PPM"),
}
LOSSY = {
    "jpeg": lambda i: encoded(i, "JPEG", quality=95),
    "progressive": lambda i: encoded(i, "JPEG", quality=95, progressive=True),
    "cmyk": lambda i: encoded(i.convert("CMYK"), "JPEG", quality=98),
    "gif": lambda i: encoded(i, "GIF"),
}


@pytest.mark.parametrize("kind", EXACT)
def test_lossless_formats(loader, smooth, kind):
    got = loader.square(EXACT[kind](Image.fromarray(smooth)))
    assert np.abs(got.astype(int) - smooth).max() <= (12 if kind == "palette" else 0)


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_formats(loader, smooth, kind):
    got = loader.square(LOSSY[kind](Image.fromarray(smooth)))
    assert np.abs(got.astype(int) - smooth).mean() < 6, np.abs(got.astype(int) - smooth).mean()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_rotation(loader, smooth, orientation, kind):
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # numbers of Image.Transpose that undo what the tag asks for
    rotated = Image.fromarray(smooth)
    if orientation > 1:
        rotated = rotated.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    got = loader.square(encoded(rotated, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {})))
    assert np.abs(got.astype(int) - smooth).mean() < 5


def test_grey_images_of_any_depth(loader, smooth):
    grey = smooth[..., 0]
    wide = grey.astype(np.uint16) << 8
    for image in (
        *(encoded(Image.fromarray(grey), kind) for kind in ("PNG", "TIFF")),
        *(encoded(Image.fromarray(wide), kind) for kind in ("PNG", "TIFF")),
        encoded(Image.fromarray((grey / 255).astype(np.float32)), "TIFF"),
    ):
        got = loader.square(image)
        np.testing.assert_array_equal(got, np.repeat(grey[..., np.newaxis], 3, -1))
    two = Image.fromarray(grey > 100)
    got = loader.square(encoded(two, "PNG"))
    np.testing.assert_array_equal(got[..., 0], np.where(grey > 100, 255, 0))
    with pytest.raises(pixels.UnreadableError, match="floats from 0 to 220, expected 0 to 1"):
        loader.square(encoded(Image.fromarray(grey.astype(np.float32)), "TIFF"))


def test_transparent_pixels_become_white(loader, smooth):
    ink = np.dstack([np.zeros_like(smooth), np.where(smooth[..., 0] > 100, 255, 0).astype(np.uint8)])
    got = loader.square(encoded(Image.fromarray(ink), "PNG"))
    np.testing.assert_array_equal(got[..., 1], np.where(smooth[..., 0] > 100, 0, 255))
    grey = Image.fromarray(ink[..., [0, 3]])
    np.testing.assert_array_equal(loader.square(encoded(grey, "PNG")), got)


def test_files_arrays_and_pil_images_give_the_same_square(loader, smooth):
    png = loader.square(encoded(Image.fromarray(smooth), "PNG"))
    for same in (
        smooth,
        smooth / 255.0,
        Image.fromarray(smooth),
        np.dstack([smooth, np.full((16, 16), 255, np.uint8)]),
    ):
        np.testing.assert_array_equal(loader.square(same), png)
    np.testing.assert_array_equal(loader.square(smooth[..., :1]), loader.square(smooth[..., 0]))
    for wrong in (smooth * 2.0, smooth.astype(int), smooth[..., :2], np.zeros((0, 3), np.uint8), smooth[0, 0]):
        with pytest.raises(pixels.UnreadableError, match="an array of"):
            loader.square(np.asarray(wrong))


def test_square_is_the_centre_resized_with_antialiasing():
    stripes = np.zeros((40, 100, 3), np.uint8)
    stripes[:, 30:70][:, ::2] = 255
    got = Loader(Preprocessing(8, 8)).square(stripes)
    assert got.shape == (8, 8, 3) and np.abs(got.astype(int) - 128).max() < 40  # no stripes, and nothing of the sides
    assert Loader(Preprocessing(8, 8, "grey", (0,), (1,))).square(stripes).shape == (8, 8, 1)
    red = np.zeros((9, 9, 3), np.uint8)
    red[..., 0] = 200
    assert Loader(Preprocessing(4, 4, "bgr")).square(red)[0, 0].tolist() == [0, 0, 200]


def test_crop_to_ink():
    """A drawing of any size, anywhere on the page, gives about the same square; beyond the edge it is white."""
    loader = Loader(Preprocessing(24, 24, "grey", (0,), (1,), crop="ink"))
    page = np.full((100, 140, 3), 255, np.uint8)
    got = []
    for top, left, size in ((10, 20, 40), (60, 100, 40), (1, 0, 80)):
        drawn = page.copy()
        drawn[top : top + size, left : left + size // 4] = 0  # an L
        drawn[top + 3 * size // 4 : top + size, left : left + size] = 0
        got.append(loader.square(drawn)[..., 0].astype(int))
    for other in got[1:]:
        assert np.abs(other - got[0]).mean() < 3
    assert (got[0][:, :1] == 255).all() and (got[0][:, -1:] == 255).all() and got[0][20, 4] == 0
    assert got[0][4, 12] == 255
    dot = page.copy()
    dot[50:52, 70:72] = 0  # is not enlarged to the whole square
    assert 0 < (loader.square(dot) < 128).mean() < 0.02
    assert loader.square(page).min() == 255  # nothing drawn
    narrow = Preprocessing(24, 24, "grey", (0,), (1,), crop="ink").to_json()
    assert Preprocessing(**narrow).crop == "ink"
    with pytest.raises(InputError, match="crop 'edge'; expected center or ink"):
        Preprocessing(8, 8, crop="edge")


def test_long_images_are_cropped_before_resizing(loader):
    assert loader.square(np.zeros((1, 60_000, 3), np.uint8)).shape == (16, 16, 3)


def bomb(width, height):
    """A PNG of a few bytes that declares a huge image."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_corrupt_images_are_refused_with_the_reason(loader, smooth):
    jpeg, png = (encoded(Image.fromarray(picture(1, 1, 64)), kind) for kind in ("JPEG", "PNG"))
    for content, reason in {
        b"": "it is empty",
        b"<html></html>": "it is not an image",
        jpeg[:300]: "it is corrupt|not an image",
        png[: len(png) // 2]: "it is corrupt",
        bomb(30_000, 30_000): "30000 x 30000 pixels, more than|declares more than",
        bomb(12_000, 9_000): "12000 x 9000 pixels, more than",
    }.items():
        with pytest.raises(pixels.UnreadableError, match=reason):
            loader.square(content)


def test_unreadable_images_are_listed_and_skipped_up_to_a_limit(tmp_path, caplog):
    write_classes(tmp_path, range(3), images=10)
    (tmp_path / "c01" / "3.png").write_bytes(b"")
    splits = find_images(tmp_path, "0,0,1").splits
    with caplog.at_level(logging.WARNING, "leo_tf"):
        found = inspect(splits)["test"]
    assert "1 of 30 images of test cannot be read and are skipped: c01/3.png: it is empty" in caplog.text
    assert len(found.source) == 29 and "c01/3.png" not in found.source.names
    assert found.source.labels[12:14] == ["c01", "c01"] and found.source.read(13) == splits["test"].read(14)
    (tmp_path / "c02" / "0.png").write_bytes(bomb(40_000, 40_000))
    with pytest.raises(InputError, match=r"2 of 30 images of test cannot be read.*c01/3\.png: it is empty; c02/0\.png"):
        inspect(splits)
    assert len(inspect(splits, max_unreadable=0.1)["test"].source) == 28
    for path in (tmp_path / "c00").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(InputError, match="Class 'c00' of test has no readable image"):
        inspect(splits, max_unreadable=0.5)


def test_duplicate_images_in_two_splits_or_classes_are_refused(tmp_path, caplog):
    write_classes(tmp_path / "train", [0, 1], images=2)
    write_classes(tmp_path / "val", [2, 3], images=2)
    same = (tmp_path / "train" / "c00" / "0.png").read_bytes()
    (tmp_path / "train" / "c00" / "again.png").write_bytes(same)
    with caplog.at_level(logging.WARNING, "leo_tf"):
        inspect(find_images(tmp_path).splits)
    assert "1 images are duplicates within their class" in caplog.text
    (tmp_path / "val" / "c03" / "leak.png").write_bytes(same)
    with pytest.raises(InputError, match=r"train/c00/0.png and val/c03/leak.png are the same image, in train and in"):
        inspect(find_images(tmp_path).splits)
    (tmp_path / "val" / "c03" / "leak.png").unlink()
    (tmp_path / "train" / "c01" / "copy.png").write_bytes(same)
    with pytest.raises(InputError, match="the same image in two classes of train"):
        inspect(find_images(tmp_path).splits)


def test_batches_report_truncated_images(tmp_path, loader):
    write_classes(tmp_path, [0, 1], images=3, size=64)
    file = tmp_path / "c01" / "0.png"
    file.write_bytes(file.read_bytes()[:2000])
    source = inspect(find_images(tmp_path, "0,0,1").splits)["test"].source  # its header is intact
    squares, reasons = zip(*loader.batches(source, 4), strict=True)
    assert [len(part) for part in squares] == [4, 2]
    reasons = np.concatenate(reasons)
    assert [bool(reason) for reason in reasons] == [False, False, False, True, False, False]
    assert not squares[0][3].numpy().any() and squares[1].numpy().any()
    last = next(iter(loader.batches(source.subset(range(2, 6)), 9)))
    assert [bool(reason) for reason in last[1].numpy()] == [False, True, False, False]


def test_cache_is_made_once_and_without_corrupt_images(tmp_path, loader, monkeypatch):
    write_classes(tmp_path / "images", [0, 1], images=3, size=64)
    file = tmp_path / "images" / "c01" / "0.png"
    file.write_bytes(file.read_bytes()[:2000])
    inspected = inspect(find_images(tmp_path / "images", "0,0,1").splits)["test"]
    kept, squares = loader.load_cached(inspected, "test", 0.2, tmp_path / "cache")
    assert len(kept.source) == 5 and squares.shape == (5, 16, 16, 3)
    np.testing.assert_array_equal(squares[4], loader.square(kept.source.read(4)))
    monkeypatch.setattr(Loader, "batches", None)
    again, same = loader.load_cached(inspected, "test", 0.2, tmp_path / "cache")
    np.testing.assert_array_equal(same, squares)
    assert again.source.names == kept.source.names


def flip(file):
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    "ending,damage",
    [
        (".npy", flip),
        (".npy", lambda file: file.write_bytes(file.read_bytes()[:-9])),
        (".npy", lambda file: file.write_bytes(b"")),
        (".npy", Path.unlink),
        (".json", Path.unlink),
        (".json", lambda file: file.write_text("{")),
        (".json", lambda file: file.write_text('{"checksum": 0, "reasons": {}}')),
        (".json", lambda file: file.write_text(file.read_text().replace('"reasons": {}', '"reasons": {"99": "?"}'))),
    ],
)
def test_corrupt_cache_is_made_again(tmp_path, loader, ending, damage, monkeypatch):
    write_classes(tmp_path / "images", [0, 1], images=2, size=20)
    inspected = inspect(find_images(tmp_path / "images", "0,0,1").splits)["test"]
    squares = np.array(loader.load_cached(inspected, "test", 0.2, tmp_path / "cache")[1])
    damage(next((tmp_path / "cache").glob(f"*{ending}")))
    again = loader.load_cached(inspected, "test", 0.2, tmp_path / "cache")[1]
    np.testing.assert_array_equal(again, squares)
    monkeypatch.setattr(Loader, "batches", None)
    np.testing.assert_array_equal(loader.load_cached(inspected, "test", 0.2, tmp_path / "cache")[1], squares)


def test_views_are_the_expected_crops():
    size = Preprocessing(6, 4, mean=(0,) * 3, scale=(2,) * 3)
    squares = np.arange(2 * 6 * 6 * 3, dtype=np.uint8).reshape(2, 6, 6, 3)
    views = size.views(tf.constant(squares), "multiview").numpy()
    assert views.shape == (2, 10, 4, 4, 3)
    np.testing.assert_allclose(views[:, 0], squares[:, 1:5, 1:5] / 2)
    np.testing.assert_allclose(views[:, 4], squares[:, 2:, 2:] / 2)
    np.testing.assert_allclose(views[:, 5:], views[:, :5, :, ::-1])
    np.testing.assert_allclose(size.views(tf.constant(squares)).numpy(), views[:, :1])


def test_decoding_in_a_graph_equals_decoding_of_files(loader, smooth):
    """An exported model decodes as the reader does."""
    for content in (encoded(Image.fromarray(smooth), "PNG"), encoded(Image.fromarray(smooth), "JPEG", quality=90)):
        np.testing.assert_array_equal(PLAIN.square(decode(tf.constant(content))), loader.square(content))


@pytest.mark.parametrize(
    "wrong", [{"color": "hsv"}, {"mean": (1, 2)}, {"image_size": 9}, {"image_size": 0}, {"color": "grey"}]
)
def test_impossible_preprocessing_is_refused(wrong):
    with pytest.raises(InputError, match="expected"):
        Preprocessing(**({"resize_size": 8, "image_size": 8} | wrong))


def test_preprocessing_json_round_trip():
    made = Preprocessing(9, 8, "grey", (1,), (2.5,))
    assert Preprocessing(**made.to_json()) == made


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def exif_behind_the_pixels(image):
    content = encoded(image)
    return content[:-12] + png_chunk(b"eXIf", exif_of(6).removeprefix(b"Exif\0\0")) + content[-12:]  # 12 bytes of IEND


def exif_of_imagemagick(image):
    content, exif = encoded(image), exif_of(6)
    text = zlib.compress(f"\nexif\n{len(exif):8d}\n{exif.hex()}\n".encode())
    return content[:33] + png_chunk(b"zTXt", b"Raw profile type exif\0\0" + text) + content[33:]  # behind IHDR


def exif_of_long(image):
    """JPEG whose orientation is a LONG, instead of the usual SHORT."""
    short, long = (b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0", b"\x01\x12\0\x04\0\0\0\x01\0\0\0\x06")
    exif = exif_of(6)
    if short not in exif:  # little-endian
        short, long = (b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0", b"\x12\x01\x04\0\x01\0\0\0\x06\0\0\0")
    assert short in exif
    return encoded(image, "JPEG", quality=95, exif=exif.replace(short, long))


@pytest.mark.parametrize("write", [exif_behind_the_pixels, exif_of_imagemagick, exif_of_long])
def test_exif_in_unusual_places(loader, smooth, write):
    content = write(Image.fromarray(smooth).transpose(Image.Transpose.ROTATE_90))
    assert np.abs(loader.square(content).astype(int) - smooth).mean() < 5
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"rotated by its EXIF|compressed EXIF"):
        squares_of(tf.constant([content]), loader.preprocessing)


def test_no_program_is_called_for_a_file(loader, tmp_path, monkeypatch):
    """Pillow would hand EPS to Ghostscript, whatever the file is called."""
    called = tmp_path / "called"
    for name in ("gs", "gswin64c"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {called}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    header = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\n"
    with pytest.raises(UnreadableError, match="not an image"):
        loader.square(f"{header}showpage\n%%EOF\n".encode())
    assert not called.exists()
