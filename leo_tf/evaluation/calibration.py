"""Calibration: whether predictions made with a confidence of 70 % are right 70 % of the time."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, special

from leo_tf.evaluation import plots
from leo_tf.evaluation.intervals import Interval, confidence_interval

BINS = 15
_TEMPERATURES = 0.01, 100.0


class Tallies(NamedTuple):
    """Per-task sums that measures of calibration are computed from, by equal bins of the confidence."""

    queries: np.ndarray  # [tasks, bins], number of queries whose confidence is in the bin
    confidence: np.ndarray  # [tasks, bins], sum of confidences
    right: np.ndarray  # [tasks, bins], number of right answers
    loss: np.ndarray  # [tasks], mean negative log-likelihood, nats
    brier: np.ndarray  # [tasks], mean squared distance of the probabilities from the one-hot label


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Calibration over the queries of many tasks; a bin is (low, high], and an empty one has NaN."""

    expected_error: float  # fraction, weighted by queries
    negative_log_likelihood: Interval  # nats, over tasks
    brier: Interval  # over tasks; 0 is perfect, 2 the worst
    bin_count: np.ndarray  # [bins]
    bin_confidence: np.ndarray  # [bins]
    bin_accuracy: np.ndarray  # [bins]

    def summary(self) -> dict[str, Any]:
        return {
            "expected_calibration_error": self.expected_error,
            "negative_log_likelihood": self.negative_log_likelihood._asdict(),
            "brier": self.brier._asdict(),
            "bins": [
                {"count": int(n), "confidence": float(confidence), "accuracy": float(accuracy)} if n else {"count": 0}
                for n, confidence, accuracy in zip(self.bin_count, self.bin_confidence, self.bin_accuracy, strict=True)
            ],
        }

    def __str__(self) -> str:
        return (
            f"expected calibration error {100 * self.expected_error:.2f} % ({len(self.bin_count)} bins), negative "
            f"log-likelihood {self.negative_log_likelihood.mean:.4f} +- {self.negative_log_likelihood.half_width:.4f} "
            f"nats, Brier score {self.brier.mean:.4f} +- {self.brier.half_width:.4f}"
        )


def tally(logits: Any, labels: Any, bins: int = BINS) -> Tallies:
    """Return the Tallies of logits [tasks, queries, ways] and labels [tasks, queries] int."""
    logs = special.log_softmax(np.asarray(logits, np.float64), axis=-1)
    labels = np.asarray(labels)[..., np.newaxis]
    probabilities = np.exp(logs)
    confidence = probabilities.max(axis=-1)
    best = logs == logs.max(axis=-1, keepdims=True)
    right = np.take_along_axis(best, labels, axis=-1)[..., 0] / best.sum(axis=-1)  # a tie shares its credit
    tasks = len(logs)
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1) + bins * np.arange(tasks)[:, np.newaxis]

    def in_bins(values: np.ndarray) -> np.ndarray:
        return np.bincount(index.ravel(), values.ravel(), tasks * bins).reshape(tasks, bins)

    of_label = np.take_along_axis(probabilities, labels, axis=-1)[..., 0]
    return Tallies(
        queries=in_bins(np.ones_like(confidence)),
        confidence=in_bins(confidence),
        right=in_bins(right),
        loss=-np.take_along_axis(logs, labels, axis=-1)[..., 0].mean(axis=1),
        brier=np.mean(np.sum(probabilities**2, axis=-1) - 2 * of_label + 1, axis=1),
    )


def calibration(tallies: Tallies) -> Calibration:
    """Return the Calibration of Tallies; the expected error is as in Guo et al. (ICML 2017), equations 1-3."""
    count, confidence, right = (sums.sum(axis=0) for sums in tallies[:3])
    with np.errstate(invalid="ignore"):
        bin_confidence, bin_accuracy = confidence / count, right / count
    return Calibration(
        expected_error=float(np.abs(right - confidence).sum() / count.sum()),
        negative_log_likelihood=confidence_interval(tallies.loss),
        brier=confidence_interval(tallies.brier),
        bin_count=count.astype(int),
        bin_confidence=bin_confidence,
        bin_accuracy=bin_accuracy,
    )


def fit_temperature(*answers: tuple[Any, Any]) -> tuple[float, float]:
    """Return the temperature T, from 0.01 to 100, of the least loss of softmax(logits / T), and that loss in nats.

    Answers are pairs of logits [tasks, queries, ways] and labels [tasks, queries], one for each number of ways; the
    loss is the mean of theirs. See Guo et al. (ICML 2017), section 4.2.
    """
    wide = [(np.asarray(logits, np.float64), np.asarray(labels)[..., np.newaxis]) for logits, labels in answers]

    def loss(log_temperature: float) -> float:
        logs = [special.log_softmax(logits / np.exp(log_temperature), axis=-1) for logits, _ in wide]
        return -np.mean(
            [np.take_along_axis(each, labels, axis=-1).mean() for each, (_, labels) in zip(logs, wide, strict=True)]
        )

    found = optimize.minimize_scalar(loss, bounds=np.log(_TEMPERATURES), method="bounded")
    return float(np.exp(found.x)), float(found.fun)


def reliability_diagram(calibration: Calibration, title: str) -> Any:
    """Draw accuracy against confidence, and below it the share of queries in each bin."""
    figure = plots.new_figure(4.2, 4.8)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    bins = len(calibration.bin_count)
    centres, width, filled = (np.arange(bins) + 0.5) / bins, 1 / bins, calibration.bin_count > 0
    confidence, accuracy = calibration.bin_confidence[filled], calibration.bin_accuracy[filled]
    style = {"color": "C0", "alpha": 0.4, "edgecolor": "white"}
    above.bar(centres[filled], accuracy, width, label="accuracy in the bin", **style)
    above.plot([0, 1], [0, 1], color="black", lw=1, ls="--", label="perfectly calibrated")
    above.plot(confidence, accuracy, "C0o", ms=4, label="at its mean confidence")
    error = f"expected calibration error {100 * calibration.expected_error:.2f} %"
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy", title=f"{title}\n{error}")
    above.legend(frameon=False, fontsize="small", loc="upper left")
    below.bar(centres, calibration.bin_count / calibration.bin_count.sum(), width, edgecolor="white", color="gray")
    below.set(xlabel="confidence", ylabel="queries")
    return plots.finished(figure)
