"""Images of any format to upright 8-bit RGB.

TensorFlow decodes plain JPEG and PNG, Pillow the rest; the size is read from the header before anything is decoded.
"""

import io
import warnings
from typing import Any

import numpy as np

from leo_tf.errors import first_line, require_package

MAX_PIXELS = 100_000_000
MAX_PIXELS_PER_BYTE = 8 * 1032  # of PNG, whose pixels take at least a bit, compressed by deflate to 1/1032 at best
_ORIENTATION = 0x0112  # EXIF tag
_PNG_BIT_DEPTH = 24  # position of that byte in the file
_PNG_EXIF = (b"eXIf", b"Raw profile type")  # the latter as ImageMagick writes it; anywhere in the file
# Pillow would open many more, some by external programs: EPS by Ghostscript.
_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM")


class UnreadableError(ValueError):
    """The error of an image that cannot be used; the message says why."""


def _pillow() -> Any:
    """Return the module PIL.Image; only files need Pillow, exporting a network and arrays of pixels do not."""
    require_package("PIL", "Reading images")
    from PIL import Image

    return Image


def open_image(content: bytes) -> Any:
    """Return the PIL.Image of encoded bytes, of which only the header is read; UnreadableError says why it cannot.

    The formats are JPEG, PNG, BMP, GIF, WebP, TIFF and PPM, whatever a file's name says.
    """
    Image = _pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own about the size
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
    except Image.DecompressionBombError:
        raise UnreadableError(f"it declares more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # Pillow raises almost anything for corrupt files
        raise UnreadableError("it is empty" if not content else _reason(error)) from None
    if image.width * image.height > MAX_PIXELS:
        raise UnreadableError(f"it declares {image.width} x {image.height} pixels, more than {MAX_PIXELS:,}")
    if image.format in ("PNG", "JPEG") and image.width * image.height > MAX_PIXELS_PER_BYTE * len(content):
        raise UnreadableError(
            f"it declares {image.width} x {image.height} pixels, more than its {len(content)} bytes can hold"
        )
    return image


def is_plain(content: bytes, image: Any) -> bool:
    """Return whether TensorFlow decodes the bytes of an opened image correctly."""
    if image.format == "JPEG":
        return image.mode in ("L", "RGB") and image.getexif().get(_ORIENTATION, 1) == 1
    if image.format == "PNG":
        upright = not any(mark in content for mark in _PNG_EXIF)  # Pillow has not yet read what is behind the pixels
        shallow = len(content) > _PNG_BIT_DEPTH and content[_PNG_BIT_DEPTH] <= 8
        return image.mode in ("1", "L", "RGB") and "transparency" not in image.info and shallow and upright
    return False


def upright_rgb(image: Any) -> np.ndarray:
    """Return uint8 [height, width, 3] of an opened PIL.Image: rotated as EXIF says, on white where transparent.

    16-bit grey levels are scaled by the range of their type, floats from [0, 1].
    """
    Image = _pillow()
    from PIL import ImageOps

    try:
        image.load()
        image = ImageOps.exif_transpose(image)
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            return np.repeat(_grey_of(image)[..., np.newaxis], 3, axis=-1)
        if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return np.asarray(image.convert("RGB"))
    except UnreadableError:
        raise
    except Exception as error:
        raise UnreadableError(_reason(error)) from None


def from_array(array: Any) -> np.ndarray:
    """Return uint8 [height, width, 3] of an array: uint8, or floats in [0, 1], with 1, 3, 4 or no channels last."""
    array = np.asarray(array)
    if array.dtype.kind == "f" and array.size and np.isfinite(array).all() and 0 <= array.min() <= array.max() <= 1:
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or not array.size:
        raise UnreadableError(
            f"an array of {array.dtype} {array.shape}; expected uint8, or floats from 0 to 1, [height, width] or "
            "[height, width, channels]"
        )
    channels = array.shape[2] if array.ndim == 3 else 1
    if channels not in (1, 3, 4):
        raise UnreadableError(f"an array of {channels} channels; expected 1, 3 or 4")
    if channels == 3:
        return array
    return upright_rgb(_pillow().fromarray(array[..., 0] if array.shape[2:] == (1,) else array))


def _grey_of(image: Any) -> np.ndarray:
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return (values.astype(np.uint16) >> 8).astype(np.uint8)
    lowest, highest = float(values.min()), float(values.max())
    if image.mode == "F":
        if not 0 <= lowest <= highest <= 1:
            raise UnreadableError(f"it holds floats from {lowest:g} to {highest:g}, expected 0 to 1")
        return np.rint(values * 255).astype(np.uint8)
    if not 0 <= lowest <= highest < 2**16:  # mode I: 16-bit PNG and some TIFF
        raise UnreadableError(f"it holds numbers from {lowest:g} to {highest:g}, expected 16 bits")
    return (values >> 8).astype(np.uint8)


def _reason(error: Exception) -> str:
    if "cannot identify image file" in str(error):
        return "it is not an image, or corrupt"
    return f"it is corrupt ({first_line(error)})"
