"""Figures of an evaluation, as PNG files and in TensorBoard; matplotlib and TensorFlow are imported when used."""

import contextlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from leo_tf.errors import InputError, first_line, has_package, require_package
from leo_tf.files import write_bytes

_BINS = 30


def save(figure: Any, path: Path, events: Path | None, tag: str, step: int) -> None:
    """Write a figure as a PNG file, and as the image `tag` to the TensorBoard `events` folder, if there is one."""
    write_bytes(path, png(figure))
    if events is not None:
        write_images(events, {tag: (figure, "An analysis of the best checkpoint, by evaluate.py.")}, step)


def write_images(events: Path, images: Mapping[str, tuple[Any, str]], step: int, suffix: str | None = None) -> None:
    """Write {tag: (figure, description)} to a TensorBoard folder, in a file whose name ends in this suffix."""
    import tensorflow as tf

    with writing_events(events):
        writer = tf.summary.create_file_writer(str(events), filename_suffix=suffix)
        with writer.as_default(step=step):
            for tag, (figure, description) in images.items():
                summarize(figure, tag, description)
        writer.close()


@contextlib.contextmanager
def writing_events(folder: Path) -> Iterator[None]:
    """Turn a failure to write TensorBoard events in the block into an InputError that names their folder."""
    import tensorflow as tf

    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise InputError(
            f"Cannot write in {folder} ({first_line(error)}); free disk space or give write permission. The results "
            "printed above are saved."
        ) from None


def summarize(figure: Any, tag: str, description: str | None = None) -> None:
    """Write a matplotlib Figure to the current tf.summary writer as an image."""
    import tensorflow as tf

    tf.summary.image(tag, tf.io.decode_png(png(figure), channels=4)[tf.newaxis], description=description)


def png(figure: Any) -> bytes:
    """Return a matplotlib Figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def can_draw() -> bool:
    """Return whether matplotlib is installed."""
    return has_package("matplotlib")


def require_drawing() -> None:
    """Raise InputError unless matplotlib is installed."""
    require_package("matplotlib", "Drawing figures")


def new_figure(width: float, height: float) -> Any:
    """Return an empty matplotlib Figure of this size in inches."""
    require_drawing()
    from matplotlib.figure import Figure  # not pyplot: no global state, and Agg for PNG

    return Figure((width, height))


def draw_histograms(values: Mapping[str, np.ndarray], ylabel: str, line: float | None = None) -> Any:
    """Draw a histogram of each of {axis label: array}, with a vertical line at `line` if it is given."""
    figure = new_figure(1.0 + 3.4 * len(values), 2.8)
    for axes, (label, array) in zip(figure.subplots(1, len(values), squeeze=False).flat, values.items(), strict=True):
        axes.hist(np.ravel(array), bins=_BINS)
        axes.locator_params(axis="x", nbins=6)
        if line is not None:
            axes.axvline(line, color="0.6", lw=0.8)
        axes.set(xlabel=label, ylabel=ylabel)
    return finished(figure)


def plain(text: Any) -> str:
    """Escape a user's text for matplotlib, which would take text between $ for a formula."""
    return " ".join(str(text).split()).replace("$", r"\$")


def finished(figure: Any, bottom: float = 0.0) -> Any:
    """Remove upper and right spines, and lay the figure out, leaving a share of its height free at the bottom."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout(rect=(0, bottom, 1, 1))
    return figure
