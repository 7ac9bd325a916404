"""Pictures of an evaluation, as PNG files and in TensorBoard; matplotlib is imported only here, when drawing."""

import io
from pathlib import Path

import numpy as np
import tensorflow as tf

from leo_tf.atomic import replace_file
from leo_tf.errors import InputError

_PERCENT = 100


def require_matplotlib():
    """Raise InputError where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise InputError(
            "The analysis draws pictures, and matplotlib is not installed; install it, e.g. with "
            "pip install 'leo_tf[plots]'."
        ) from None


def reliability_diagram(calibration, title):
    """Draw accuracy against confidence, over how many queries each bin has.

    Args:
      calibration: Calibration.
      title: text.

    Returns:
      matplotlib Figure.
    """
    figure = new_figure(4.2, 4.8)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    bins = len(calibration.bin_count)
    centres, width, filled = (np.arange(bins) + 0.5) / bins, 1 / bins, calibration.bin_count > 0
    above.bar(
        *(centres[filled], calibration.bin_accuracy[filled], width),
        color="C0", alpha=0.4, edgecolor="white", label="accuracy in the bin",
    )  # fmt: skip
    above.plot([0, 1], [0, 1], color="black", lw=1, ls="--", label="perfectly calibrated")
    above.plot(
        calibration.bin_confidence[filled],
        calibration.bin_accuracy[filled],
        "C0o",
        ms=4,
        label="at its mean confidence",
    )
    error = f"expected calibration error {_PERCENT * calibration.expected_error:.2f} %"
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy", title=f"{title}\n{error}")
    above.legend(frameon=False, fontsize="small", loc="upper left")
    below.bar(centres, calibration.bin_count / calibration.bin_count.sum(), width, edgecolor="white", color="gray")
    below.set(xlabel="confidence", ylabel="queries")
    return finished(figure)


def steps_plot(points, title):
    """Draw accuracy against adaptation steps, with 95 % intervals.

    Args:
      points: list of StepsPoint from `steps_curve`.
      title: text.

    Returns:
      matplotlib Figure.
    """
    figure = new_figure(5.4, 3.6)
    axes = figure.subplots()
    latent = sum(point.finetuning_steps == 0 for point in points)
    places = np.arange(len(points))
    parts = [("latent steps", slice(0, latent)), ("then fine-tuning steps", slice(latent - 1, None))]
    for name, part in parts if latent < len(points) else parts[:1]:
        _errorbar(axes, places[part], [point.accuracy for point in points[part]], label=name)
    names = [str(p.finetuning_steps or p.latent_steps) for p in points]
    axes.set(xlabel="steps taken", ylabel="accuracy, %", title=title, xticks=places, xticklabels=names)
    axes.legend(frameon=False)
    return finished(figure)


def grid_plot(results, title):
    """Draw accuracy against shots, a line for each number of ways, the model's and nearest-class-mean's.

    Args:
      results: list of EvaluationResult from `shape_grid`.
      title: text.

    Returns:
      matplotlib Figure.
    """
    figure = new_figure(6.8, 3.8)
    axes = figure.subplots()
    for index, ways in enumerate(sorted({result.ways for result in results})):
        row = [result for result in results if result.ways == ways]
        shots = [result.shots for result in row]
        name = f"{ways}-way {row[0].algorithm}"
        _errorbar(axes, shots, [result.accuracy for result in row], color=f"C{index}", label=name)
        _errorbar(
            axes, shots, [result.nearest_class_mean for result in row], color=f"C{index}", ls=":", marker="x",
            label=f"{ways}-way nearest class mean",
        )  # fmt: skip
    axes.set_xscale("log")
    shots = sorted({result.shots for result in results})
    axes.set_xticks(shots, [str(value) for value in shots])
    axes.set_xticks([], minor=True)
    axes.set(xlabel="shots", ylabel="accuracy, %", title=title)
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return finished(figure)


def save(figure, path, events, tag, step):
    """Write a figure as a PNG file and as an image for TensorBoard.

    Args:
      figure: matplotlib Figure.
      path: of the PNG file.
      events: folder of TensorBoard events.
      tag: the image's name in TensorBoard.
      step: the checkpoint's step.

    Raises:
      InputError: a file cannot be written.
    """
    image = _png(figure)
    try:
        with replace_file(Path(path)) as file:
            file.write(image)
        writer = tf.summary.create_file_writer(str(events))
        with writer.as_default(step=step):
            _summarize(image, tag)
        writer.close()
    except (OSError, tf.errors.OpError) as error:
        raise InputError(f"Cannot write {path} or in {events} ({error}).") from None


def summarize(figure, tag):
    """Write a matplotlib Figure to the current tf.summary writer as an image."""
    _summarize(_png(figure), tag)


def _summarize(image, tag):
    tf.summary.image(tag, tf.io.decode_png(image, channels=4)[tf.newaxis])


def _png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def new_figure(width, height):
    """Return an empty matplotlib Figure of this size in inches."""
    require_matplotlib()
    from matplotlib.figure import Figure  # not pyplot: no global state, and Agg for PNG

    return Figure((width, height))


def _errorbar(axes, places, intervals, **style):
    values, half_widths = (_PERCENT * np.array(column) for column in zip(*intervals, strict=True))
    axes.errorbar(places, values, half_widths, **{"marker": "o", "ms": 3, "capsize": 2, **style})


def finished(figure, bottom=0.0):
    """Take off the boxes' upper and right sides, and lay out, leaving a share of the height free at the bottom."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout(rect=(0, bottom, 1, 1))
    return figure
