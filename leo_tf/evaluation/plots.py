"""Pictures of an evaluation, as PNG files and in TensorBoard.

matplotlib is imported only here, when drawing, and TensorFlow only for TensorBoard, so that a picture alone is quick.
"""

import contextlib
import io

from leo_tf.errors import InputError, require_package
from leo_tf.files import write_bytes


def save(figure, path, events, tag, step):
    """Write a figure as a PNG file and as an image for TensorBoard.

    Args:
      figure: matplotlib Figure.
      path: of the PNG file.
      events: folder of TensorBoard's events; None for none.
      tag: the image's name in TensorBoard.
      step: the checkpoint's step.

    Raises:
      InputError: a file cannot be written.
    """
    import tensorflow as tf

    image = png(figure)
    write_bytes(path, image)
    if events is None:
        return
    with writing_events(events):
        writer = tf.summary.create_file_writer(str(events))
        with writer.as_default(step=step):
            _summarize(image, tag, "An analysis of the best checkpoint, by evaluate.py.")
        writer.close()


@contextlib.contextmanager
def writing_events(folder):
    """Turn a failure of the block to write TensorBoard's events into an InputError that names their folder."""
    import tensorflow as tf

    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise InputError(
            f"Cannot write in {folder} ({reason}); make room there or give write permission. What was printed before "
            "is saved."
        ) from None


def summarize(figure, tag, description=None):
    """Write a matplotlib Figure to the current tf.summary writer as an image."""
    _summarize(png(figure), tag, description)


def _summarize(image, tag, description=None):
    import tensorflow as tf

    tf.summary.image(tag, tf.io.decode_png(image, channels=4)[tf.newaxis], description=description)


def png(figure):
    """Return a matplotlib Figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def require_drawing():
    """Raise InputError where matplotlib is not installed."""
    require_package("matplotlib", "Drawing pictures")


def new_figure(width, height):
    """Return an empty matplotlib Figure of this size in inches."""
    require_drawing()
    from matplotlib.figure import Figure  # not pyplot: no global state, and Agg for PNG

    return Figure((width, height))


def plain(text):
    """Return a user's text as matplotlib draws it: without formulas, which it takes what stands between $ for."""
    return " ".join(str(text).split()).replace("$", r"\$")


def finished(figure, bottom=0.0):
    """Take off the boxes' upper and right sides, and lay out, leaving a share of the height free at the bottom."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout(rect=(0, bottom, 1, 1))
    return figure
