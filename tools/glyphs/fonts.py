"""The typefaces in matplotlib's wheel: which characters each one draws, and their shapes.

matplotlib and Pillow are needed only to regenerate the data set, so they are imported inside functions.
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leo_tf.errors import InputError, require_package

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

# The first is the canonical face: a character is a class only if this one draws it.
_UNICODE_FACES = tuple(
    f"{family}{style}"
    for family, styles in (
        ("DejaVuSans", ("", "-Bold", "-Oblique", "-BoldOblique")),
        ("DejaVuSerif", ("", "-Bold", "-Italic", "-BoldItalic")),
        ("DejaVuSansMono", ("", "-Bold", "-Oblique", "-BoldOblique")),
        ("STIXGeneral", ("", "Bol", "Italic", "BolIta")),
    )
    for style in styles
)
# TeX's Computer Modern keeps its own encodings; only letters and digits of ASCII are where Unicode has them.
_TEX_FACES = ("cmr10", "cmb10", "cmti10", "cmss10", "cmtt10")
_TEX_CHARACTERS = frozenset(map(ord, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"))
CANONICAL_FACE = _UNICODE_FACES[0]

MASTER_SIZE = 96  # pixels per em: three times finer than an example, so that warping loses nothing


def require_fonts() -> Path:
    """Return the folder of matplotlib's typefaces.

    Raises:
        InputError: matplotlib or Pillow is not installed, or its fonts are not where the wheel puts them.
    """
    for module in ("matplotlib", "PIL"):
        require_package(module, "Rendering the glyphs")
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    absent = [face for face in (*_UNICODE_FACES, *_TEX_FACES) if not (folder / f"{face}.ttf").is_file()]
    if absent:
        raise InputError(
            f"matplotlib {matplotlib.__version__} lacks the typefaces {', '.join(absent)} in {folder}. Some "
            "distributions leave them out: use the wheel, `pip install --force-reinstall matplotlib`."
        )
    return folder


@functools.cache
def characters_of(face: str) -> frozenset[int]:
    """Return the code points that `face` draws at their Unicode place."""
    folder = require_fonts()
    from matplotlib.ft2font import FT2Font

    code_points = frozenset(FT2Font(str(folder / f"{face}.ttf")).get_charmap())
    return code_points & _TEX_CHARACTERS if face in _TEX_FACES else code_points


@functools.cache
def faces_of(code_point: int) -> tuple[str, ...]:
    """Return the typefaces that draw `code_point`, the canonical one first, in a fixed order."""
    return tuple(face for face in (*_UNICODE_FACES, *_TEX_FACES) if code_point in characters_of(face))


@functools.cache
def _open(face: str) -> "FreeTypeFont":
    from PIL import ImageFont

    path = require_fonts() / f"{face}.ttf"
    # Basic layout: no shaping library, whose presence differs between machines.
    return ImageFont.truetype(str(path), MASTER_SIZE, layout_engine=ImageFont.Layout.BASIC)


@functools.cache
def master(code_point: int, face: str) -> np.ndarray:
    """Draw a character large, upright and clean, cropped to its ink.

    Args:
        code_point: the character.
        face: a typeface of `faces_of(code_point)`.

    Returns:
        Ink in [0, 1], float32 [height, width]; [0, 0] if the glyph is blank.
    """
    from PIL import Image, ImageDraw

    margin = MASTER_SIZE
    canvas = Image.new("L", (4 * margin, 4 * margin), 0)
    ImageDraw.Draw(canvas).text((margin, margin), chr(code_point), font=_open(face), fill=255)
    box = canvas.getbbox()
    if box is None:
        return np.zeros((0, 0), np.float32)
    return np.asarray(canvas.crop(box), np.float32) / 255.0
