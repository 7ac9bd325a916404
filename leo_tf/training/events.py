"""What TensorBoard shows of a run: curves, pictures, the configuration and a row of its table of hyper-parameters.

Each curve has a folder of its own in the run's, so that training, validation and nearest class mean lie in one chart,
under the run's name. Charts are in the order in which they matter, which TensorBoard takes from the alphabet: the
measure, losses, rates, speed, the norms of variables' gradients, and the variables last.
"""

import csv
import importlib.util

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from leo_tf.evaluation import plots

TRAIN, VALIDATION, BEST = "train", "validation", "best validation"
_RESULT = ".result"  # how the names of the files of a result end
_TAGS = {
    "loss": ("loss/total", "What the outer loop minimises: query loss, weighted penalties and regularisation."),
    "query_loss": ("loss/query", "Loss of the adapted parameters on the tasks' queries, after all inner steps."),
    "kl": ("loss/kl", "KL of the latent codes' posterior to N(0, I), nats a latent dimension, before its weight."),
    "encoder_penalty": ("loss/encoder_penalty", "Squared distance from initial to adapted codes, before its weight."),
    "regularization": ("loss/regularization", "L2 and orthogonality penalties, weighted."),
    "nan_steps": ("speed/nan_steps", "Share of steps whose loss or gradient was NaN; their update is zero."),
    "steps_per_second": ("speed/steps_per_second", "Meta-training steps a second."),
    "gradient_norm": ("variable/gradient_norm", "Norm of the whole meta-gradient, before clipping."),
    "crps": ("error/crps", "Continuous ranked probability score of sampled functions."),
    "coverage_90": ("error/coverage_90", "Share of inputs at which the central 90 % interval covers the function."),
    "accuracy": ("accuracy", "Share of queries answered right, after adaptation."),
    "mse": ("error/mse", "Squared error of the mean of sampled functions, against the function without noise."),
}
_CURVES = {
    TRAIN: "Of meta-training: mean since the point before.",
    VALIDATION: "Of the validation tasks, which are always the same.",
    "nearest class mean": "Of nearest class mean, without LEO, on the validation tasks: what is to be beaten.",
    BEST: "Of the best checkpoint on the validation tasks: one number, drawn as a line.",
}
_FIGURES = {
    "reliability": "Accuracy against confidence on validation tasks. Probabilities on the dashed line can be believed.",
    "functions": "Functions sampled after adaptation to a few points, on ambiguous tasks.",
}
# TensorBoard's table of hyper-parameters has the settings that differ between runs first, the others by the alphabet,
# and shows the first five until others are ticked. Spaces in front sort first, and are not seen.
_FIRST = (
    *("num_classes", "num_tr_examples_per_class", "outer_lr", "dropout_rate", "kl_weight", "num_latents"),
    *("feature_transform", "prototype_residual", "maml_lr", "maml_steps", "dataset_name", "algorithm"),
)
_LAST = frozenset(
    {
        *("cache_dir", "checkpoint_steps", "data_path", "distribution", "download", "jit", "log_steps"),
        *("metatest_batch_size", "metavalid_batch_size"),
    }
)


def tag_of(name):
    """Return (tag, description) of a column of metrics.csv."""
    return _TAGS.get(name) or (name, "")


def column_of(setting):
    """Return the name of a setting in TensorBoard's table: with as many spaces in front as it is important."""
    if setting in _LAST:
        return setting
    return " " * (1 + len(_FIRST) - _FIRST.index(setting) if setting in _FIRST else 1) + setting


class Events:
    """TensorBoard's events of a run.

    What validation measures too is written of training at validations only, as the mean since the last one: TensorBoard
    leaves out of a chart's range the outer twentieths of all its points, and rows of training would outnumber the rest.

    Args:
      folder: RunDirectory.
      work: what is trained, as for Trainer.
      first_step: where the run goes on; at 0 its configuration is written.
    """

    def __init__(self, folder, work, first_step):
        self._folder, self._work, self._writers = folder, work, {}
        self._images = importlib.util.find_spec("matplotlib") is not None
        measured = work.measured
        self._of_both = {measured.measure, *map(_as_training, measured.other_measures)} if work.validate else set()
        if not first_step:
            self._describe(work.config)

    def steps(self, step, row, norms):
        """Write a row of training metrics, the learned rates and the gradient norm of every variable."""
        with self._writer(TRAIN).as_default(step=step):
            for name in row.keys() - self._of_both:
                _scalar(name, row[name])
            text = "Learning rate of the outer loop's Adam."
            tf.summary.scalar("rate/adam", self._work.outer_lr, description=text)
            for name, rate in self._work.rates.items():
                text = "Mean over dimensions of a meta-learned learning rate."
                tf.summary.scalar(f"rate/{name}", tf.reduce_mean(rate.value), description=text)
            for name, norm in zip(self._work.variables, norms, strict=True):
                text = "Norm of one variable's meta-gradient, before clipping."
                tf.summary.scalar(f"variable/gradient_norm/{name}", norm, description=text)

    def validation(self, step, found, values, training):
        """Write a Validation, its baselines, pictures of the learned rates, and a histogram of every variable.

        Args:
          step: int.
          found: Validation.
          values: {name: float}, its numbers.
          training: {name: float}, means of the training metrics since the last validation.
        """
        with self._writer(TRAIN).as_default(step=step):
            for name in self._of_both & training.keys():
                _scalar(name, training[name])
        with self._writer(VALIDATION).as_default(step=step):
            for name in values.keys() - {"half_width"}:
                _scalar(_as_training(name), values[name], VALIDATION)
            for name, figure in found.figures.items():
                plots.summarize(figure, name, _FIGURES.get(name))
            for name, rate in self._work.rates.items() if self._images else ():
                text = "A meta-learned learning rate, dimension by dimension, and sorted."
                plots.summarize(_rate_figure(rate.numpy(), name, step), f"rate/{name}", text)
            for name, variable in self._work.variables.items():
                tf.summary.histogram(
                    f"weights/{name}", variable.value, description="Elements of a meta-learned variable."
                )
        for name, value in found.baselines.items():
            with self._writer(name).as_default(step=step):
                _scalar(self._work.measured.measure, value, name)
        self.flush()

    def flush(self):
        """Write to disk what is buffered."""
        for writer in self._writers.values():
            writer.flush()

    def close(self):
        """Flush and close everything."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, curve):
        if curve not in self._writers:
            self._writers[curve] = tf.summary.create_file_writer(str(self._folder.events(curve)))
        return self._writers[curve]

    def _describe(self, config):
        """Write the configuration, as a text and as hyper-parameters beside which the final metrics stand."""
        with self._writer("").as_default(step=0):
            text = "    " + config.to_json().replace("\n", "\n    ")
            tf.summary.text("configuration", text, description="Every setting of the run, as in its config.json.")
            settings = {column_of(name): value for name, value in config.flat().items()}
            hparams.hparams(settings, trial_id=self._folder.path.name)
        self.flush()


def write_result(folder, curve, measure, value, step):
    """Write a number that a run's best checkpoint has into the chart of its measure, as a line across.

    One point would be out of the chart's range where it is the lowest or highest of many. A result of before is
    replaced.

    Args:
      folder: RunDirectory.
      curve: its name there: BEST, or the split that it is of, as "test".
      measure: name of the measure.
      value: its mean over the tasks.
      step: the checkpoint's.
    """
    events = folder.events("train evaluated" if curve == TRAIN else curve)  # not in the curve of training
    for before in events.glob(f"*{_RESULT}"):
        before.unlink(missing_ok=True)
    writer = tf.summary.create_file_writer(str(events), filename_suffix=_RESULT)
    for each in sorted({step, *_steps_in_chart(folder.metrics_file, measure)}):
        with writer.as_default(step=each):
            _scalar(measure, value, curve)
    writer.close()


def _steps_in_chart(metrics_file, measure):
    """Return the steps at which the measure was written: validations, or without any all rows."""
    try:
        with open(metrics_file, newline="", encoding="utf-8") as file:
            rows = [(int(row["step"]), row[f"validation_{measure}"]) for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, KeyError, csv.Error):  # the line is then a point
        return []
    return [step for step, validated in rows if validated] or [step for step, _ in rows]


def _as_training(name):
    """Return the column of training that a measure of validation is in one chart with."""
    return "query_loss" if name == "loss" else name


def _scalar(name, value, curve=TRAIN):
    tag, text = tag_of(name)
    of_curve = _CURVES.get(curve, f"Of the best checkpoint on the {curve} tasks: one number, drawn as a line.")
    tf.summary.scalar(tag, value, description=f"{text} {of_curve}")


def _rate_figure(rates, name, step):
    """Draw a vector of learned rates, dimension by dimension, and sorted; small, for TensorBoard shows it small."""
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
