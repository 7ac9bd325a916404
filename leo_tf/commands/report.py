"""What evaluate.py prints and writes of an evaluation: result, baselines, comparisons, analyses."""

import logging
import os

from leo_tf import analysis
from leo_tf.commands.evaluation_job import whole_numbers
from leo_tf.evaluation import compare, plots, seed_summary
from leo_tf.files import write_json
from leo_tf.files.reports import beside, versions
from leo_tf.runs.results import result_of
from leo_tf.training.events import write_result

_logger = logging.getLogger("leo_tf")


def report(found, values):
    """Print and write an Evaluated, and what else the parsed flags ask for.

    Raises:
      InputError: a file cannot be written, or an analysis or another run does not fit the tasks.
    """
    folder, evaluation, learner, result = found.folder, found.evaluation, found.learner, found.result
    step, output, problem = found.step, found.output, found.problem
    print(f"{evaluation.title}{result}")
    advice = evaluation.advice(result, step, folder.latest_step())
    if advice:
        print(advice)
    result.save(output.with_suffix(".npz"))
    about = {"checkpoint_path": str(folder.path), "step": step, **evaluation.about}
    summary = {**about, "versions": versions(), **result.summary()}
    baselines = evaluation.baselines()
    if baselines:
        summary["baselines"] = {each.algorithm: each.summary() for each in baselines}
        print("", *baselines, sep="\n\n")
    if values.calibrate:
        _calibrate(evaluation, learner, folder, step)
    extras = evaluation.extras(learner, f"{learner.algorithm}, step {step}")
    if extras.text:
        print(f"\n{extras.text}")
    write_json(output, {**summary, **extras.summary})
    events = _events(folder, values.split)
    trained_shots = found.trained.episodes.num_tr_examples_per_class
    if events and evaluation.is_of_the_run and trained_shots in result.shots_evaluated:
        value = float(result.task_scores(trained_shots).mean())
        with plots.writing_events(events):
            write_result(folder, values.split, problem.measure, value, step)
    for name, figure in extras.figures.items():
        _draw(figure, beside(output, name), events, step)

    names = ("data_digest", "tasks_digest", "model_fingerprint")
    about |= {name: summary[name] for name in names if name in summary}
    if values.compare_to:
        _compare(values.compare_to, result, evaluation, output, about)
    if values.seed_runs:
        _over_seeds([result, *(result_of(path, evaluation) for path in values.seed_runs)], values, output, about)
    _analyse(found, values, about, events, step)


def _calibrate(evaluation, learner, folder, step):
    found = evaluation.calibrate(learner)
    write_json(folder.calibration_file, {"step": step, **found})
    print(
        f"calibrated: temperature {found['temperature']:.3f}; expected calibration error on validation tasks "
        + " -> ".join(f"{100 * found[when]['expected_calibration_error']:.2f} %" for when in ("before", "after"))
    )


def _events(folder, split):
    """Return where TensorBoard's events of the evaluation go; None, and say so, in a run of another user."""
    if os.access(folder.path, os.W_OK | os.X_OK):
        return folder.events(split)
    _logger.warning("%s cannot be written: TensorBoard will not show this evaluation.", folder.path)
    return None


def _compare(paths, result, evaluation, output, about):
    comparisons = []
    for path in paths:
        other = result_of(path, evaluation)
        for shots in result.shots_evaluated:
            comparison = compare(result, other, shots)
            where = f"{shots} shot: " if len(result.shots_evaluated) > 1 else ""
            print(f"{where}{about['checkpoint_path']} less {path} ({other.algorithm}): {comparison}")
            comparisons.append({"to": path, "shots": shots, **comparison.summary()})
    write_json(beside(output, "comparisons"), {**about, "comparisons": comparisons})


def _over_seeds(results, values, output, about):
    summaries = []
    for shots in results[0].shots_evaluated:
        summary = seed_summary(results, shots)
        where = f"{shots} shot, " if len(results[0].shots_evaluated) > 1 else ""
        print(f"{where}over training seeds: {summary}")
        summaries.append({"shots": shots, **summary._asdict()})
    write_json(beside(output, "seeds"), {**about, "seed_runs": values.seed_runs, "over_seeds": summaries})


def _analyse(found, values, about, events, step):
    evaluation, config = found.evaluation, found.problem.config
    names = [name for name in values.analysis if name not in found.problem.baselines]
    if not names:
        return
    some = evaluation.tasks.take(slice(values.analysis_tasks))
    ways, shots = (whole_numbers(name, values) for name in ("ways_grid", "shots_grid"))
    batch_size, queries = config.training.metatest_batch_size, values.queries or None
    request = analysis.Request(found.learner, evaluation.table, some, batch_size, ways, shots, queries)
    about = {**about, "tasks_digest": some.digest, "num_tasks": len(some)}
    for name in names:
        analysed = analysis.analyse(name, request, f"{about['dataset_name']} {values.split}, step {step}")
        print(analysed.text)
        write_json(beside(found.output, name), {**about, name: analysed.summary})
        _draw(analysed.figure, beside(found.output, name), events, step)


def _draw(figure, numbers, events, step):
    """Write a figure beside its numbers, as PNG and, where `events` is no None, for TensorBoard."""
    picture = numbers.with_suffix(".png")
    plots.save(figure, picture, events, numbers.stem, step)
    print(f"see {picture}")
