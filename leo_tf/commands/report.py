"""Output of evaluate.py: result, baselines, calibration, comparisons."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from leo_tf.commands.evaluation_job import EvaluationJob
from leo_tf.evaluation import Result, compare, plots, seed_summary
from leo_tf.files import write_json
from leo_tf.files.reports import beside, versions
from leo_tf.runs.calibration import RunCalibration
from leo_tf.runs.results import result_of
from leo_tf.training.events import write_result

_logger = logging.getLogger("leo_tf")


def report(job: EvaluationJob, values: flags.FlagValues) -> None:
    """Print and write the report of an EvaluationJob, and what else the parsed flags ask for."""
    evaluation, result, step = job.evaluation, job.report.result, job.step
    output: Any = job.output  # the chief's
    about = {"checkpoint_path": str(job.folder.path), "step": step, **evaluation.about}
    summary = _print_and_save(job, about, output)
    if values.calibrate:
        _calibrate(job)
    _write_events(job, values.split, output)
    names = ("data_digest", "tasks_digest", "model_fingerprint")
    about |= {name: summary[name] for name in names if name in summary}
    if values.compare_to:
        comparisons = _comparisons(values.compare_to, job, about["checkpoint_path"])
        write_json(beside(output, "comparisons"), {**about, "comparisons": comparisons})
    if values.seed_runs:
        others = [result_of(path, evaluation) for path in values.seed_runs]
        over_seeds = _seed_summaries([result, *others])
        write_json(beside(output, "seeds"), {**about, "seed_runs": values.seed_runs, "over_seeds": over_seeds})


def _print_and_save(job: EvaluationJob, about: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """Print the report, write its npz and JSON files, and return the content of the JSON file."""
    evaluation, (result, baselines, text, extras, _) = job.evaluation, job.report
    print(f"{evaluation.title}{result}")
    advice = evaluation.advice(result, job.step, job.folder.latest_step())
    if advice:
        print(advice)
    initialization = job.folder.initialization()
    if initialization and initialization.chosen:
        print(f"chosen on validation tasks before training: {initialization}")
        about = {**about, "initialization": initialization.record()}
    if baselines:
        print("", *baselines, sep="\n\n")
    if text:
        print(f"\n{text}")
    result.save(output.with_suffix(".npz"))
    summary = {**about, "versions": versions(), **result.summary(), **extras}
    if baselines:
        summary["baselines"] = {each.algorithm: each.summary() for each in baselines}
    write_json(output, summary)
    return summary


def _calibrate(job: EvaluationJob) -> None:
    found = job.evaluation.calibrate(job.learner)
    write_json(job.folder.calibration_file, {"step": job.step, **found})
    before, after = (f"{100 * found[when]['expected_calibration_error']:.2f} %" for when in ("before", "after"))
    calibration = RunCalibration.from_record(found)
    print(f"calibration temperature {calibration}; expected calibration error on validation tasks {before} -> {after}")
    if calibration and calibration.has_unknown:
        print("fitted an unknown class too, for FewShotClassifier(..., unknown_class=True) and exports")


def _write_events(job: EvaluationJob, split: str, output: Path) -> None:
    """Write the result for TensorBoard, and the figures as PNG files too."""
    result, events = job.report.result, None
    if os.access(job.folder.path, os.W_OK | os.X_OK):
        events = job.folder.events(split)
    else:  # a run of another user
        _logger.warning("%s is not writable: TensorBoard will not show this evaluation.", job.folder.path)
    config, shots = job.evaluation.config, job.trained.episodes.num_tr_examples_per_class
    as_trained = (config.episodes, config.data) == (job.trained.episodes, job.trained.data)
    if events and as_trained and shots in result.shots_evaluated:
        with plots.writing_events(events):
            value = float(result.task_scores(shots).mean())
            write_result(job.folder, split, job.problem.measure, value, job.step)
    for name, figure in job.report.figures.items():
        numbers = beside(output, name)
        plots.save(figure, numbers.with_suffix(".png"), events, numbers.stem, job.step)
        print(f"see {numbers.with_suffix('.png')}")


def _comparisons(paths: Sequence[str], job: EvaluationJob, name: str) -> list[dict[str, Any]]:
    found, result = [], job.report.result
    for path in paths:
        other = result_of(path, job.evaluation)
        for shots in result.shots_evaluated:
            comparison = compare(result, other, shots)
            print(f"{_prefix(result, shots, ': ')}{name} minus {path} ({other.algorithm}): {comparison}")
            found.append({"to": path, "shots": shots, **comparison.summary()})
    return found


def _seed_summaries(results: Sequence[Result]) -> list[dict[str, Any]]:
    found = []
    for shots in results[0].shots_evaluated:
        summary = seed_summary(results, shots)
        print(f"{_prefix(results[0], shots, ', ')}over training seeds: {summary}")
        found.append({"shots": shots, **summary._asdict()})
    return found


def _prefix(result: Result, shots: int, separator: str) -> str:
    return f"{shots} shot{separator}" if len(result.shots_evaluated) > 1 else ""
