"""HTML report of the examples and the predictions."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from leo_tf.files.html_report import render, write_html_report
from leo_tf.files.pixels import open_image, upright_rgb

_SIDE, _CLASSES_SHOWN = 128, 5


def write_report(
    path: str | Path,
    model: str,
    support: Mapping[str, Sequence[str | Path]],
    images: Sequence[str | Path],
    classes: Sequence[str],
    probabilities: np.ndarray,
) -> None:
    """Write the report of images that were classified with probabilities [images, ways]; support is {class: files}."""
    figures: dict[str, bytes] = {}

    def figure(file: str | Path) -> str:
        name = f"image{len(figures)}.png"
        figures[name] = thumbnail(file)
        return name

    examples = [
        (name, [{"title": str(file), "source": figure(file)} for file in files]) for name, files in support.items()
    ]
    shown = min(_CLASSES_SHOWN, len(classes))
    predictions = [
        {
            "file": str(file),
            "source": figure(file),
            "best": [(classes[i], f"{100 * row[i]:.1f}") for i in row.argsort()[::-1][:shown]],
        }
        for file, row in zip(images, probabilities, strict=True)
    ]
    content = {"support": examples, "predictions": predictions, "shown": shown, "ways": len(classes), "model": model}
    write_html_report(path, "Predictions", render("leo_tf.predict", "predictions.md", **content), figures)


def thumbnail(file: str | Path) -> bytes:
    """Return an image file as an upright PNG of at most 128 x 128 pixels."""
    from PIL import Image

    pixels = upright_rgb(open_image(Path(file).expanduser().read_bytes()))
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((_SIDE, _SIDE))
    image.save(buffer, "PNG")
    return buffer.getvalue()
