"""One image to upright 8-bit RGB, whatever it was.

TensorFlow decodes plain JPEG and PNG. What it reads wrongly or not at all (CMYK, EXIF rotation, transparency, 16-bit,
WebP, TIFF, ...) goes through Pillow. The size is read from the header before anything is decoded.
"""

import io
import warnings

import numpy as np

from leo_tf.errors import require_package

MOST_PIXELS = 100_000_000
MOST_PIXELS_A_BYTE = 8 * 1032  # of PNG, and more than of JPEG: a bit for each, of which deflate makes 1/1032 at best
_ORIENTATION = 0x0112  # EXIF tag
_BIT_DEPTH_OF_PNG = 24  # byte of the file


class UnreadableError(ValueError):
    """An image that cannot be used; the message says why."""


def _pillow():
    """Return the module PIL.Image; Pillow is needed for files only, not where a network is exported or pixels given."""
    require_package("PIL", "Reading images")
    from PIL import Image

    return Image


def open_image(content):
    """Open encoded bytes, read the header only, and refuse what is no image or too large.

    Returns:
      PIL.Image.

    Raises:
      UnreadableError: damaged, unknown, or of more than MOST_PIXELS.
      InputError: Pillow is not installed.
    """
    Image = _pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own notes on size; ours is below
            image = Image.open(io.BytesIO(content))
    except Image.DecompressionBombError:
        raise UnreadableError(f"it declares more than {MOST_PIXELS:,} pixels") from None
    except Exception as error:  # Pillow raises almost anything for damaged files
        raise UnreadableError("it is empty" if not content else _reason(error)) from None
    if image.width * image.height > MOST_PIXELS:
        raise UnreadableError(f"it declares {image.width} x {image.height} pixels, more than {MOST_PIXELS:,}")
    if image.format in ("PNG", "JPEG") and image.width * image.height > MOST_PIXELS_A_BYTE * len(content):
        raise UnreadableError(
            f"it declares {image.width} x {image.height} pixels, more than its {len(content)} bytes can hold"
        )
    return image


def is_plain(content, image):
    """Return whether TensorFlow decodes the bytes of an opened image as they should look."""
    if image.format == "JPEG":
        return image.mode in ("L", "RGB") and image.getexif().get(_ORIENTATION, 1) == 1
    if image.format == "PNG":
        upright = "exif" not in image.info or image.getexif().get(_ORIENTATION, 1) == 1
        shallow = len(content) > _BIT_DEPTH_OF_PNG and content[_BIT_DEPTH_OF_PNG] <= 8
        return image.mode in ("1", "L", "RGB") and "transparency" not in image.info and shallow and upright
    return False


def upright_rgb(image):
    """Return uint8 [height, width, 3] of an opened PIL.Image: turned as EXIF says, on white where transparent.

    16-bit greys are scaled by their type's range, floats from [0, 1].

    Raises:
      UnreadableError: it is cut off, or of numbers that are no colours.
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


def from_array(array):
    """Return uint8 [height, width, 3] of an array in memory.

    Args:
      array: uint8, or floats in [0, 1]; [height, width], or with 1, 3 or 4 channels last.

    Raises:
      UnreadableError: it is something else.
    """
    array = np.asarray(array)
    if array.dtype.kind == "f" and array.size and np.isfinite(array).all() and 0 <= array.min() <= array.max() <= 1:
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or not array.size:
        raise UnreadableError(
            f"an array of {array.dtype} {array.shape}; expected uint8, or floats from 0 to 1, [height, width] or "
            "[height, width, channels]"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim == 3 and array.shape[2] not in (3, 4):
        raise UnreadableError(f"an array of {array.shape[2]} channels; expected 1, 3 or 4")
    if array.ndim == 3 and array.shape[2] == 3:
        return array
    return upright_rgb(_pillow().fromarray(array))


def _grey_of(image):
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


def _reason(error):
    lines = str(error).splitlines()
    if "cannot identify image file" in str(error):
        return "it is no image, or a damaged one"
    return f"it is damaged ({(lines[0] if lines else type(error).__name__)[:200]})"
