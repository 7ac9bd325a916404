"""The pictures of analyses."""

import numpy as np

from leo_tf.evaluation import plots

_PERCENT = 100


def steps_plot(points, title):
    """Draw accuracy against adaptation steps, with 95 % intervals.

    Args:
      points: list of StepsPoint from `steps_curve`.
      title: text.

    Returns:
      matplotlib Figure.
    """
    figure = plots.new_figure(5.4, 3.6)
    axes = figure.subplots()
    latent = sum(point.finetuning_steps == 0 for point in points)
    places = np.arange(len(points))
    parts = [("latent steps", slice(0, latent)), ("then fine-tuning steps", slice(latent - 1, None))]
    for name, part in parts if latent < len(points) else parts[:1]:
        _errorbar(axes, places[part], [point.accuracy for point in points[part]], label=name)
    names = [str(p.finetuning_steps or p.latent_steps) for p in points]
    axes.set(xlabel="steps taken", ylabel="accuracy, %", title=title, xticks=places, xticklabels=names)
    axes.legend(frameon=False)
    return plots.finished(figure)


def grid_plot(results, title):
    """Draw accuracy against shots, a line for each number of ways, the model's and nearest-class-mean's.

    Args:
      results: list of EvaluationResult from `shape_grid`.
      title: text.

    Returns:
      matplotlib Figure.
    """
    figure = plots.new_figure(6.8, 3.8)
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
    return plots.finished(figure)


def _errorbar(axes, places, intervals, **style):
    values, half_widths = (_PERCENT * np.array(column) for column in zip(*intervals, strict=True))
    axes.errorbar(places, values, half_widths, **{"marker": "o", "ms": 3, "capsize": 2, **style})
