"""What TensorBoard shows of a run: curves, pictures, the configuration and a row of its table of hyper-parameters.

Each curve has a folder of its own in the run's, so that training, validation and nearest class mean lie in one chart,
under the run's name. Charts are in the order in which they matter, which TensorBoard takes from the alphabet: the
measure, losses, rates, speed, the norms of variables' gradients, and the variables last.
"""

import importlib.util
import re

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from leo_tf.evaluation import plots

TRAIN, VALIDATION = "train", "validation"
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
}
_MEASURES = {
    "accuracy": (
        "accuracy",
        "Share of queries answered right, after adaptation; validation tasks are always the same.",
    ),
    "mse": ("error/mse", "Squared error of the mean of sampled functions, against the function without noise."),
}


def tag_of(name):
    """Return (tag, description) of a column of metrics.csv."""
    return _MEASURES.get(name) or _TAGS.get(name) or (name, None)


class Events:
    """TensorBoard's events of a run.

    Args:
      folder: RunFolder.
      work: what is trained, as for Trainer.
      first_step: where the run goes on; at 0 its configuration is written.
    """

    def __init__(self, folder, work, first_step):
        self._folder, self._work, self._writers = folder, work, {}
        self._images = importlib.util.find_spec("matplotlib") is not None
        if not first_step:
            self._describe(work.config)

    def steps(self, step, row, norms):
        """Write a row of training metrics, the learned rates and the gradient norm of every variable."""
        with self._writer(TRAIN).as_default(step=step):
            for name, value in row.items():
                _scalar(name, value)
            text = "Learning rate of the outer loop's Adam."
            tf.summary.scalar("rate/adam", self._work.outer_lr, description=text)
            for name, rate in self._work.rates.items():
                text = "Mean over dimensions of a meta-learned learning rate."
                tf.summary.scalar(f"rate/{name}", tf.reduce_mean(rate.value), description=text)
            for name, norm in zip(self._work.variables, norms, strict=True):
                text = "Norm of one variable's meta-gradient, before clipping."
                tf.summary.scalar(f"variable/gradient_norm/{name}", norm, description=text)

    def validation(self, step, found, values):
        """Write a Validation, its yardsticks, pictures of the learned rates, and a histogram of every variable."""
        with self._writer(VALIDATION).as_default(step=step):
            for name in values.keys() - {"half_width"}:
                _scalar({"loss": "query_loss"}.get(name, name), values[name])
            for name, figure in found.figures.items():
                plots.summarize(figure, name)
            for name, rate in self._work.rates.items() if self._images else ():
                plots.summarize(_rate_figure(rate.numpy(), name, step), f"rate/{name}")
            for name, variable in self._work.variables.items():
                tf.summary.histogram(f"weights/{name}", variable.value)
        for name, value in found.yardsticks.items():
            with self._writer(name).as_default(step=step):
                _scalar(self._work.measured.measure, value)
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
        tag = tag_of(self._work.measured.measure)[0]
        with self._writer("").as_default(step=0):
            tf.summary.text("configuration", "    " + config.to_json().replace("\n", "\n    "))
            metrics = [
                hparams.Metric(tag, group=curve, display_name=f"{curve} {tag}") for curve in (VALIDATION, "test")
            ]
            settings = config.flat()
            hparams.hparams_config([hparams.HParam(name) for name in settings], metrics)
            hparams.hparams(settings, trial_id=self._folder.path.name)
        self.flush()


def write_result(folder, curve, measure, value, step):
    """Write the result of a run's best checkpoint into the chart of its measure.

    Args:
      folder: RunFolder.
      curve: its name there, as "test".
      measure: name of the measure.
      value: its mean over the tasks.
      step: the checkpoint's.
    """
    writer = tf.summary.create_file_writer(str(folder.events(curve)))
    with writer.as_default(step=step):
        _scalar(measure, value)
    writer.close()


def _scalar(name, value):
    tag, description = tag_of(name)
    tf.summary.scalar(tag, value, description=description)


def _rate_figure(rates, name, step):
    """Draw a vector of learned rates, dimension by dimension, and sorted."""
    figure = plots.new_figure(6, 3)
    axes = figure.subplots()
    flat = rates.reshape(-1)
    axes.plot(flat, ".", markersize=3, label="by dimension")
    axes.plot(sorted(flat), color="C1", label="sorted")
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set(xlabel="dimension", title=f"{re.sub('_', ' ', name)}, step {step}")
    axes.legend(frameon=False, fontsize="small")
    return plots.finished(figure)
