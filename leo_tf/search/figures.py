"""Figures of a study: trials in order, each setting against the objective, and the importance of settings."""

import math
from typing import Any

import optuna

from leo_tf.evaluation import plots
from leo_tf.search.space import Range
from leo_tf.search.study import Study

_COLUMNS, _MIN_TRIALS_PER_SETTING = 3, 3


def draw_figures(study: Study) -> dict[str, tuple[str, bytes]]:
    """Return {file name: (title, PNG)}; the importance of settings is left out if too few trials completed."""
    name = study.plan.objective.name
    drawn = {
        "history.png": ("Trials in order", _history(study)),
        "settings.png": (f"Each setting against validation {name}", _settings(study)),
    }
    if len(study.ranked) >= _MIN_TRIALS_PER_SETTING * len(study.plan.space.settings):
        drawn["importance.png"] = ("Importance of the settings", _importance(study))
    return {file: (title, plots.png(figure)) for file, (title, figure) in drawn.items()}


def _history(study: Study) -> Any:
    figure = plots.new_figure(7, 3.2)
    axes, objective = figure.subplots(), study.plan.objective
    completed = sorted(study.ranked, key=lambda trial: trial.number)
    numbers, values = [trial.number for trial in completed], [trial.values[0] for trial in completed]
    best = [(max if objective.higher_is_better else min)(values[: last + 1]) for last in range(len(values))]
    axes.plot(numbers, values, "o", markersize=4, label="trial")
    axes.step(numbers, best, where="post", color="C1", label="best so far")
    axes.set(xlabel="trial", ylabel=f"validation {objective.name}")
    axes.legend(frameon=False, fontsize="small")
    return plots.finished(figure)


def _settings(study: Study) -> Any:
    settings, completed = study.plan.space.settings, study.ranked
    rows = math.ceil(len(settings) / _COLUMNS)
    figure = plots.new_figure(3.4 * min(_COLUMNS, len(settings)), 2.6 * rows)
    grid = figure.subplots(rows, min(_COLUMNS, len(settings)), squeeze=False, sharey=True)
    for axes, (name, domain) in zip(grid.flat, settings.items(), strict=False):
        values = [trial.params[name] for trial in completed]
        if isinstance(domain, Range):
            axes.set_xscale(domain.scale.replace("uniform", "linear"))
        else:
            values = [str(value) for value in values]
        axes.plot(values, [trial.value for trial in completed], "o", markersize=4)
        axes.set_xlabel(name)
    for axes in grid[:, 0]:
        axes.set_ylabel(f"validation {study.plan.objective.name}")
    for axes in grid.flat[len(settings) :]:
        axes.set_visible(False)
    return plots.finished(figure)


def _importance(study: Study) -> Any:
    """Draw the share of the variance over trials that each setting explains (fANOVA, Hutter et al. 2014)."""
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=study.plan.seed)
    found = optuna.importance.get_param_importances(study.optuna_study, evaluator=evaluator)
    figure = plots.new_figure(7, 0.8 + 0.35 * len(found))
    axes = figure.subplots()
    names = list(found)[::-1]
    axes.barh(names, [found[name] for name in names])
    axes.set(xlabel=f"share of the variance in {study.plan.objective.name} that it explains")
    return plots.finished(figure)
