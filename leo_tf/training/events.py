"""TensorBoard's view of a run: curves, figures, the configuration and a row in its table of hyperparameters.

Each curve has its own directory in the run's, so that training, validation and nearest class mean are in one chart,
under the run's name. TensorBoard sorts charts by name; the names put the important ones first: the measure, losses,
rates, speed, the gradient norms of variables, and the variables last.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from leo_tf.evaluation import plots
from leo_tf.problem import Validation
from leo_tf.runs import RunDirectory
from leo_tf.training.work import Work

TRAIN, VALIDATION, BEST = "train", "validation", "best validation"
_RESULT = ".result"  # end of the file names of a result
_TAGS = {
    "loss": ("loss/total", "What the outer loop minimises: query loss, weighted penalties and regularisation."),
    "query_loss": ("loss/query", "Loss of the adapted parameters on the tasks' queries, after all inner steps."),
    "kl": ("loss/kl", "KL of the latent codes' posterior to N(0, I), nats per latent dimension, before its weight."),
    "encoder_penalty": ("loss/encoder_penalty", "Squared distance from initial to adapted codes, before its weight."),
    "regularization": ("loss/regularization", "L2 and orthogonality penalties, weighted."),
    "nan_steps": (
        "speed/nan_steps",
        "Fraction of steps with a NaN loss or gradient; they only pull the weights slightly towards zero.",
    ),
    "steps_per_second": ("speed/steps_per_second", "Meta-training steps per second."),
    "gradient_norm": ("variable/gradient_norm", "Norm of the whole meta-gradient, before clipping."),
    "crps": ("error/crps", "Continuous ranked probability score of sampled functions."),
    "coverage_90": ("error/coverage_90", "Share of inputs at which the central 90 % interval covers the function."),
    "accuracy": ("accuracy", "Share of queries classified correctly, after adaptation."),
    "mse": ("error/mse", "Squared error of the mean of sampled functions, against the function without noise."),
}
_CURVES = {
    TRAIN: "Of meta-training: mean since the previous point.",
    VALIDATION: "On the validation tasks, which are always the same.",
    "nearest class mean": "Of the baseline nearest class mean on the validation tasks.",
    BEST: "Of the best checkpoint on the validation tasks, drawn as a line.",
}
_FIGURES = {
    "reliability": "Accuracy against confidence on validation tasks; calibrated probabilities lie on the dashed line.",
    "functions": "Functions sampled after adaptation to a few points, on ambiguous tasks.",
}
# TensorBoard's table of hyperparameters lists the settings that differ between runs first, then the others in
# alphabetical order, and shows only the first five by default. Leading spaces sort first, and are not visible.
_FIRST = (
    *("num_classes", "num_tr_examples_per_class", "outer_lr", "dropout_rate", "kl_weight", "num_latents"),
    *("within_class_shrinkage", "maml_lr", "maml_steps", "dataset_name", "algorithm"),
)
_LAST = frozenset(
    {
        *("cache_dir", "checkpoint_steps", "data_path", "distribution", "download", "jit", "log_steps"),
        *("metatest_batch_size", "metavalid_batch_size"),
    }
)


def _column_of(setting: str) -> str:
    """Return the name of a setting in TensorBoard's table: the more important, the more leading spaces."""
    if setting in _LAST:
        return setting
    return " " * (1 + len(_FIRST) - _FIRST.index(setting) if setting in _FIRST else 1) + setting


class Events:
    """TensorBoard's events of a run, which resumes from `first_step`; at 0 its configuration is written.

    Training metrics that validation measures too are written at validations only, as means since the last one:
    TensorBoard excludes the outermost 5 % of all points from a chart's range, and training rows would outnumber the
    rest.
    """

    def __init__(self, folder: RunDirectory, work: Work, first_step: int) -> None:
        self._folder, self._work = folder, work
        self._writers: dict[str, Any] = {}
        self._images = plots.can_draw()
        measured = work.measured
        self._of_both = {measured.measure, *map(_as_training, measured.other_measures)} if work.validate else set()
        if not first_step:
            self._describe(work.config, folder.initialization())

    def steps(self, step: int, row: Mapping[str, float], norms: np.ndarray) -> None:
        """Write a row of training metrics, the meta-learned rates and the gradient norm of every variable."""
        with self._writer(TRAIN).as_default(step=step):
            for name in row.keys() - self._of_both:
                _scalar(name, row[name])
            text = "Learning rate of the outer loop's Adam."
            tf.summary.scalar("rate/adam", self._work.outer_lr, description=text)
            text = "Mean over dimensions of a meta-learned learning rate."
            for name, rate in self._work.rates.items():
                tf.summary.scalar(f"rate/{name}", tf.reduce_mean(rate.value), description=text)
            text = "Norm of one variable's meta-gradient, before clipping."
            for name, norm in zip(self._work.variables, norms, strict=True):
                tf.summary.scalar(f"variable/gradient_norm/{name}", norm, description=text)

    def validation(
        self, step: int, found: Validation, values: Mapping[str, float], training: Mapping[str, float]
    ) -> None:
        """Write a Validation, the means of training since the last one, figures of rates, histograms of variables."""
        with self._writer(TRAIN).as_default(step=step):
            for name in self._of_both & training.keys():
                _scalar(name, training[name])
        with self._writer(VALIDATION).as_default(step=step):
            for name in values.keys() - {"half_width"}:
                _scalar(_as_training(name), values[name], VALIDATION)
            for name, figure in found.figures.items():
                plots.summarize(figure, name, _FIGURES.get(name))
            text = "A meta-learned learning rate, dimension by dimension, and sorted."
            for name, rate in self._work.rates.items() if self._images else ():
                plots.summarize(_rate_figure(rate.numpy(), name, step), f"rate/{name}", text)
            text = "Elements of a meta-learned variable."
            for name, variable in self._work.variables.items():
                tf.summary.histogram(f"weights/{name}", variable.value, description=text)
        for name, value in found.baselines.items():
            with self._writer(name).as_default(step=step):
                _scalar(self._work.measured.measure, value, name)
        self.flush()

    def flush(self) -> None:
        """Write buffered events to disk."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Flush and close everything."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, curve: str) -> Any:
        if curve not in self._writers:
            self._writers[curve] = tf.summary.create_file_writer(str(self._folder.events(curve)))
        return self._writers[curve]

    def _describe(self, config: Any, initialization: Any) -> None:
        """Write the configuration, and what was chosen, as text and as hyperparameters."""
        with self._writer("").as_default(step=0):
            text = "    " + config.to_json().replace("\n", "\n    ")
            tf.summary.text("configuration", text, description="Every setting of the run, as in its config.json.")
            if chosen := initialization.chosen if initialization else {}:
                about = "Settings that were chosen on validation tasks, as in the run's initialization.json."
                tf.summary.text("initialization", f"    {initialization}", description=about)
            settings = {_column_of(name): value for name, value in {**config.flat(), **chosen}.items()}
            hparams.hparams(settings, trial_id=self._folder.path.name)
        self.flush()


def write_result(folder: RunDirectory, curve: str, measure: str, value: float, step: int) -> None:
    """Write a number of the best checkpoint, of this step, into the chart of its measure, as a horizontal line.

    A single point would be outside the chart's range where it is the lowest or highest of many. An earlier result of
    the same curve, BEST or a split such as "test", is replaced.
    """
    events = folder.events("train evaluated" if curve == TRAIN else curve)  # not in the curve of training
    for before in events.glob(f"*{_RESULT}"):
        before.unlink(missing_ok=True)
    writer = tf.summary.create_file_writer(str(events), filename_suffix=_RESULT)
    for each in sorted({step, *_steps_in_chart(folder.metrics_file, measure)}):
        with writer.as_default(step=each):
            _scalar(measure, value, curve)
    writer.close()


def _steps_in_chart(metrics_file: Path, measure: str) -> list[int]:
    """Return the steps at which the measure was written: validations, or without any all rows."""
    try:
        with open(metrics_file, newline="", encoding="utf-8") as file:
            rows = [(int(row["step"]), row[f"validation_{measure}"]) for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, KeyError, csv.Error):  # then the line is a point
        return []
    return [step for step, validated in rows if validated] or [step for step, _ in rows]


def _as_training(name: str) -> str:
    """Return the column of training that shares a chart with a measure of validation."""
    return "query_loss" if name == "loss" else name


def _scalar(name: str, value: float, curve: str = TRAIN) -> None:
    tag, text = _TAGS.get(name, (name, ""))
    of_curve = _CURVES.get(curve, f"Of the best checkpoint on the {curve} tasks, drawn as a line.")
    tf.summary.scalar(tag, value, description=f"{text} {of_curve}")


def _rate_figure(rates: np.ndarray, name: str, step: int) -> Any:
    """Draw a vector of meta-learned rates by dimension and sorted; small, as TensorBoard shows it small."""
    figure = plots.new_figure(3.4, 2.6)
    axes = figure.subplots()
    flat = rates.reshape(-1)
    axes.plot(flat, ".", markersize=3, label="by dimension")
    axes.plot(sorted(flat), color="C1", label="sorted")
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set(xlabel="dimension", title=f"{name.replace('_', ' ')}, step {step}")
    axes.title.set_size("medium")
    axes.legend(frameon=False)
    return plots.finished(figure)
