"""Pictures of a study: trials in their order, each setting against the objective, and which settings matter."""

import math

import optuna

from leo_tf.evaluation import plots
from leo_tf.search.space import Range

_COLUMNS, _TRIALS_FOR_A_SETTING = 3, 3


def figures(study):
    """Draw a study.

    Args:
      study: Study with at least one trial that was trained to the end.

    Returns:
      {file name: (title, bytes of a PNG)}; the importance of settings only where there are trials enough to say.

    Raises:
      InputError: matplotlib is not installed.
    """
    name = study.plan.objective.name
    drawn = {
        "history.png": ("Trials in their order", _history(study)),
        "settings.png": (f"Each setting against validation {name}", _settings(study)),
    }
    if len(study.ranked) >= _TRIALS_FOR_A_SETTING * len(study.plan.space.parts):
        drawn["importance.png"] = ("Which settings matter", _importance(study))
    return {file: (title, plots.png(figure)) for file, (title, figure) in drawn.items()}


def _history(study):
    figure = plots.new_figure(7, 3.2)
    axes, objective = figure.subplots(), study.plan.objective
    done = sorted(study.ranked, key=lambda trial: trial.number)
    numbers, values = [trial.number for trial in done], [trial.value for trial in done]
    best = [(max if objective.higher_is_better else min)(values[: last + 1]) for last in range(len(values))]
    axes.plot(numbers, values, "o", markersize=4, label="a trial")
    axes.step(numbers, best, where="post", color="C1", label="the best so far")
    axes.set(xlabel="trial", ylabel=f"validation {objective.name}")
    axes.legend(frameon=False, fontsize="small")
    return plots.finished(figure)


def _settings(study):
    parts, done = study.plan.space.parts, study.ranked
    rows = math.ceil(len(parts) / _COLUMNS)
    figure = plots.new_figure(3.4 * min(_COLUMNS, len(parts)), 2.6 * rows)
    grid = figure.subplots(rows, min(_COLUMNS, len(parts)), squeeze=False, sharey=True)
    for axes, (name, part) in zip(grid.flat, parts.items(), strict=False):
        values = [trial.params[name] for trial in done]
        is_range = isinstance(part, Range)
        axes.plot(values if is_range else [str(value) for value in values], [t.value for t in done], "o", markersize=4)
        axes.set(xlabel=name, xscale="log" if is_range and part.scale == "log" else "linear")
    for axes in grid[:, 0]:
        axes.set_ylabel(f"validation {study.plan.objective.name}")
    for axes in grid.flat[len(parts) :]:
        axes.set_visible(False)
    return plots.finished(figure)


def _importance(study):
    """Draw the share of the differences among trials that each setting explains (fANOVA, Hutter et al. 2014)."""
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=study.plan.seed)
    found = optuna.importance.get_param_importances(study.optuna_study, evaluator=evaluator)
    figure = plots.new_figure(7, 0.8 + 0.35 * len(found))
    axes = figure.subplots()
    names = list(found)[::-1]
    axes.barh(names, [found[name] for name in names])
    axes.set(xlabel=f"share of the differences in {study.plan.objective.name} that it explains")
    return plots.finished(figure)
