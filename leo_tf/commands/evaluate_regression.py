"""What evaluate.py does with a regression run."""

import importlib.util
import logging
from pathlib import Path

from leo_tf.errors import InputError
from leo_tf.files.reports import beside, versions, write_json
from leo_tf.regression import sampling
from leo_tf.runs.folder import RunFolder
from leo_tf.runs.load import load

_logger = logging.getLogger("leo_tf")
_OF_CLASSIFICATION = (
    *("data_path", "dataset_name", "embedding_crop", "num_classes", "num_tr_examples_per_class", "queries", "tasks"),
    *("write_tasks", "ways_grid", "analysis_tasks"),
)
_NUM_TASKS = 1000
_AMBIGUOUS_TASKS, _FIGURE_SAMPLES = 300, 30
_STREAMS = ("val", "test")


def run(values, folder, config):
    """Evaluate a run on its best checkpoint; print, write JSON, per-task results and the figure.

    Args:
      values: parsed flags of evaluate.py.
      folder: RunFolder.
      config: RunConfig of the run, with the command's overrides.

    Returns:
      The exit status.

    Raises:
      InputError: a flag has no meaning here, or a file cannot be written.
    """
    _check(values, folder, config.regression.noise_stddev)
    shots = _shots(values)
    output = Path(values.output or folder.path / f"{_report_name(values)}.json")
    if output.suffix == ".npz":
        raise InputError(f"Got --output={output}; the per-task results take that name. Expected a name in .json.")
    from leo_tf import randomness
    from leo_tf.regression import evaluation
    from leo_tf.regression.ambiguous import draw_ambiguous
    from leo_tf.regression.results import RegressionResult, require_comparable
    from leo_tf.regression.tasks import draw_tasks
    from leo_tf.runs.results import require_other_seeds

    require_other_seeds(folder.path, values.seed_runs)
    others = {path: _load_other(path) for path in [*values.compare_to, *values.seed_runs]}
    model, noise = load(folder.path), config.regression.noise_stddev
    batch, samples = config.training.metatest_batch_size, values.samples
    stream = randomness.VALIDATION if values.split == "val" else randomness.TEST
    num_tasks = values.num_tasks if values["num_tasks"].present else _NUM_TASKS
    tasks = draw_tasks(num_tasks, values.seed, stream, noise)
    _require_both_families(tasks)
    for other in others.values():
        if isinstance(other, RegressionResult):
            require_comparable(tasks.digest, num_tasks, shots, other)

    found = evaluation.evaluate(model, tasks, shots, samples, batch)
    found.save(output.with_suffix(".npz"))
    yardsticks = [evaluation.evaluate_posterior(tasks, shots, samples, noise)] if noise else []
    if values.analysis:
        yardsticks += [
            evaluation.evaluate_gaussian_process(tasks, shots, samples, noise, shared) for shared in (True, False)
        ]
    print("\n\n".join(map(str, [found, *yardsticks])))
    about = {"checkpoint_path": str(folder.path), "step": folder.best_step(), "split": values.split}
    report = {**about, "seed": values.seed, "versions": versions(), **found.summary()}
    report["yardsticks"] = {each.algorithm: each.summary() for each in yardsticks}
    if noise and model.normals_per_task:
        try:
            ambiguous, probability = draw_ambiguous(_AMBIGUOUS_TASKS, values.seed, stream, noise)
        except InputError as error:  # very little noise
            _logger.warning("Nothing on ambiguous tasks: %s", error)
        else:
            ambiguity = evaluation.evaluate_ambiguity(model, ambiguous, probability, samples, noise, batch)
            report["ambiguity"] = ambiguity.summary()
            print(f"\n{ambiguity}")
    write_json(output, report)

    def result_of(path):
        return _result_of(
            path, others[path], found, samples, lambda other: evaluation.evaluate(other, tasks, shots, samples, batch)
        )

    if values.compare_to:
        _compare(values.compare_to, result_of, found, output, about)
    if values.seed_runs:
        _over_seeds([found, *map(result_of, values.seed_runs)], values.seed_runs, output, about)
    if importlib.util.find_spec("matplotlib") and noise:
        _draw(model, noise, stream, folder, output, about)
    return 0


def _load_other(path):
    """Return a run to compare with: its model, or of an npz file the result in it."""
    from leo_tf.regression.results import RegressionResult

    if Path(path).suffix == ".npz":
        return RegressionResult.load(path)
    problem = RunFolder(path).config().episodes.problem
    if problem != "regression":
        raise InputError(f"Got --compare_to={path}, a {problem} run; expected a regression run.")
    return load(path)


def _result_of(path, other, like, num_samples, evaluate):
    """Return another run's result: the one in its folder, if it is of the same evaluation and its model of now."""
    from leo_tf.evaluation.fingerprint import fingerprint
    from leo_tf.regression.results import RegressionResult

    if isinstance(other, RegressionResult):
        return other
    for file in sorted(Path(path).glob("evaluation-*.npz")):
        try:
            result = RegressionResult.load(file)
        except InputError:  # by another version
            continue
        count = num_samples if other.normals_per_task else 1
        wanted = like.tasks, like.shots.tolist(), count, fingerprint(other)
        if (result.tasks, result.shots.tolist(), result.num_samples, result.model) == wanted:
            return result
    return evaluate(other)


def _compare(paths, result_of, found, output, about):
    from leo_tf.regression.results import compare

    comparisons = []
    for path in paths:
        other = result_of(path)
        for shots in found.shots.tolist():
            comparison = compare(found, other, shots)
            comparisons.append({"to": path, "shots": shots, **comparison.summary()})
            mean, half_width = comparison.difference
            print(
                f"{shots} shot: {about['checkpoint_path']} less {path} ({other.algorithm}): mse {mean:+.4f} +- "
                f"{half_width:.4f} (95 % confidence interval, paired over the same tasks), {comparison.wins} wins, "
                f"{comparison.losses} losses, p = {comparison.p_value:.2g}"
            )
    write_json(beside(output, "comparisons"), {**about, "comparisons": comparisons})


def _over_seeds(results, runs, output, about):
    from leo_tf.regression.results import mse_over_seeds

    summaries = mse_over_seeds(results)
    for shots, summary in summaries.items():
        print(
            f"{shots} shot, over training seeds: mse {summary.mean:.4f} +- {summary.standard_deviation:.4f} (standard "
            f"deviation over {summary.num_runs} training seeds)"
        )
    numbers = {str(shots): summary._asdict() for shots, summary in summaries.items()}
    write_json(beside(output, "seeds"), {**about, "seed_runs": runs, "mse": numbers})


def _draw(model, noise, stream, folder, output, about):
    from leo_tf.evaluation import plots
    from leo_tf.regression.figure import choose_panels, draw_figure
    from leo_tf.regression.tasks import grid

    try:
        panels = choose_panels(noise, stream)
    except InputError as error:  # very little noise
        _logger.warning("No figure of sampled functions: %s", error)
        return
    path = beside(output, "functions").with_suffix(".png")
    tasks, sampler = panels.tasks, sampling.FunctionSampler(model, len(panels.probability))
    functions = sampler.functions(tasks.support_x, tasks.support_y, _FIGURE_SAMPLES)
    figure = draw_figure(panels, functions, grid(), f"{model.algorithm}, step {about['step']}")
    plots.save(figure, path, folder.tensorboard / "evaluation", path.stem, about["step"])
    print(f"\nsee {path}")


def _check(values, folder, noise):
    given = [f"--{name}" for name in _OF_CLASSIFICATION if values[name].present]
    if given:
        raise InputError(
            f"{folder.path} is a regression run, for which {', '.join(given)} has no meaning; leave it out."
        )
    if values.split not in _STREAMS:
        raise InputError(f"Got --split={values.split}; expected val or test for a regression run.")
    if set(values.analysis) - {"gaussian_process"}:
        raise InputError(f"Got --analysis={','.join(values.analysis)}; of a regression run there is gaussian_process.")
    if values.analysis:
        if not noise:
            raise InputError(
                f"{folder.path} is without noise, for which there is no --analysis=gaussian_process; leave it out."
            )
        from leo_tf.regression.yardsticks.gaussian_process import require_scikit_learn

        require_scikit_learn()
    if values.samples < 1:
        raise InputError(f"Got --samples={values.samples}; expected at least 1.")


def _require_both_families(tasks):
    sinusoids = int(tasks.is_sinusoid.sum())
    if min(sinusoids, len(tasks.truth) - sinusoids) < 2:
        raise InputError(
            f"Of {len(tasks.truth)} tasks {sinusoids} are sinusoids; expected at least 2 of each family, for "
            "intervals. Give a larger --num_tasks."
        )


def _shots(values):
    from leo_tf.regression.evaluation import SHOTS
    from leo_tf.regression.tasks import MOST_SHOTS

    try:
        shots = sorted({int(text) for text in values.shots_grid}) or list(SHOTS)
    except ValueError:
        shots = [0]
    if shots[0] < 1 or shots[-1] > MOST_SHOTS:
        given = ",".join(values.shots_grid)
        raise InputError(f"Got --shots_grid={given}; expected whole numbers from 1 to {MOST_SHOTS}, as 1,5,20.")
    return shots


def _report_name(values):
    return f"evaluation-{values.split}" + (f"-seed{values.seed}" if values.seed else "")
