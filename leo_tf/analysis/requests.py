"""The analyses of evaluate.py --analysis: each gives a text, numbers for the JSON and a picture."""

from typing import Any, NamedTuple

from leo_tf.analysis import figures
from leo_tf.analysis.curves import default_grid, shape_grid, steps_curve
from leo_tf.classification.calibration import calibrate
from leo_tf.classification.tasks import NO_SEED
from leo_tf.errors import InputError
from leo_tf.evaluation import plots
from leo_tf.evaluation.calibration import reliability_diagram


class Analysis(NamedTuple):
    """What an analysis found."""

    text: str
    summary: Any  # for JSON
    figure: Any  # matplotlib Figure


class Request(NamedTuple):
    """What to analyse, and on which tasks."""

    model: Any  # LEO
    table: Any  # EmbeddingTable
    tasks: Any  # Tasks
    batch_size: int
    ways: list[int]  # of the grid; empty: 5, 10 and 20 as far as there are classes
    shots: list[int]  # of the grid; empty: 1 and 5 as far as there are rows
    queries: int | None  # of the grid


def _calibration(request, title):
    found = calibrate(request.model, request.table, request.tasks)
    return Analysis(f"calibration: {found}", found.summary(), reliability_diagram(found, title))


def _steps(request, title):
    points = steps_curve(request.model, request.table, request.tasks)
    lines = [f"{p.latent_steps} latent, {p.finetuning_steps} fine-tuning steps: {p.accuracy.percent()}" for p in points]
    return Analysis("\n".join(lines), [point.summary() for point in points], figures.steps_plot(points, title))


def _grid(request, title):
    table, tasks = request.table, request.tasks
    ways, shots = default_grid(table, request.queries)
    results = shape_grid(
        request.model,
        table,
        request.ways or ways,
        request.shots or shots,
        request.queries,
        len(tasks),
        request.batch_size,
        0 if tasks.seed == NO_SEED else tasks.seed,
    )
    return Analysis("\n".join(map(str, results)), [r.summary() for r in results], figures.grid_plot(results, title))


_ANALYSES: dict[str, dict[str, Any]] = {
    "classification": {"calibration": _calibration, "steps": _steps, "grid": _grid},
    "regression": {},
}


def require_analyses(names, config, baselines=(), ways=()):
    """Check, before any work, that the analyses can be done.

    Args:
      names: analyses asked for.
      config: RunConfig.
      baselines: names that are baselines of the problem, asked for with the same flag.
      ways: of the grid.

    Raises:
      InputError: there is no such analysis of the problem, a baseline cannot take the grid's ways, or pictures cannot
        be drawn.
    """
    known = [*_ANALYSES[config.problem], *baselines]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"Unknown analysis {', '.join(unknown)}; expected some of {', '.join(known)} for a {config.problem} run."
        )
    if "grid" in names and config.algorithm != "leo" and set(ways) != {config.episodes.num_classes}:
        raise InputError(
            f"analysis=grid takes several numbers of ways, and the run's {config.algorithm} fits "
            f"{config.episodes.num_classes} only; give ways_grid={config.episodes.num_classes}, or leave it out."
        )
    if set(names) - set(baselines):
        plots.require_drawing()


def analyse(name, request, title):
    """Return the Analysis called `name` of a classification Request; title: of the picture."""
    return _ANALYSES["classification"][name](request, title)
