"""One HTML page of the examples and the answers, as pictures."""

import io
from pathlib import Path

from leo_tf.features.images.pixels import open_image, upright_rgb
from leo_tf.files.html_report import render, write_page

_SIDE, _SHOWN = 128, 5


def write_answers(path, model, support, images, classes, probabilities):
    """Write the page.

    Args:
      path: of the page.
      model: its name, for the last line.
      support: {class: files}, or {}.
      images: files that were classified.
      classes: names [ways].
      probabilities: [images, ways].

    Raises:
      InputError: it cannot be written.
    """
    pictures: dict[str, bytes] = {}

    def picture(file):
        source = f"picture{len(pictures)}.png"
        pictures[source] = thumbnail(file)
        return source

    examples = [
        (name, [{"title": str(file), "source": picture(file)} for file in files]) for name, files in support.items()
    ]
    shown = min(_SHOWN, len(classes))
    answers = [
        {
            "file": str(file),
            "source": picture(file),
            "best": [(classes[i], f"{100 * row[i]:.1f}") for i in row.argsort()[::-1][:shown]],
        }
        for file, row in zip(images, probabilities, strict=True)
    ]
    content = {"support": examples, "answers": answers, "shown": shown, "ways": len(classes), "model": model}
    write_page(path, "Answers", render("leo_tf.predict", "answers.md", **content), pictures)


def thumbnail(file):
    """Return an image file as a PNG of at most 128 pixels a side, upright, bytes."""
    from PIL import Image

    pixels = upright_rgb(open_image(Path(file).expanduser().read_bytes()))
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((_SIDE, _SIDE))
    image.save(buffer, "PNG")
    return buffer.getvalue()
