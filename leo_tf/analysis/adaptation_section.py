"""Adaptation in the report: how good the learner is after each step, and the rates that it learned."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from leo_tf.analysis.section import SPREAD_HEADER, Picture, Section, Table, spread, spread_cells
from leo_tf.evaluation import plots
from leo_tf.evaluation.intervals import confidence_interval

_BINS = 30


@dataclasses.dataclass(frozen=True)
class Adaptation:
    """A learner after each of its steps.

    Attributes:
      latent_steps: how many of the steps are latent ones, which come first.
      scores: {measure: [steps + 1, tasks]}, from AnalysisTarget.scores.
      rates: {name: [n]}, learned rates.
    """

    latent_steps: int
    scores: Mapping[str, np.ndarray]
    rates: Mapping[str, np.ndarray]

    def steps(self):
        """Return [(latent steps, fine-tuning steps)] of the rows of the scores."""
        count, latent = len(next(iter(self.scores.values()))), self.latent_steps
        return [(min(step, latent), max(0, step - latent)) for step in range(count)]

    def summary(self):
        """Return a plain dict, for JSON."""
        measured = [
            {name: confidence_interval(values[row])._asdict() for name, values in self.scores.items()}
            for row, _ in enumerate(self.steps())
        ]
        return {
            "steps": [
                {"latent_steps": latent, "finetuning_steps": finetuning, **each}
                for (latent, finetuning), each in zip(self.steps(), measured, strict=True)
            ],
            "learned_rates": {
                name: {**spread(rate), "share_below_zero": float(np.mean(rate < 0))}
                for name, rate in self.rates.items()
            },
        }


def adaptation_of(subject):
    """Measure a AnalysisTarget's learner at the start and after every step, in one pass; return Adaptation."""
    learner = subject.learner
    latent, finetuning = learner.inner_steps
    taken = [latent, finetuning] if subject.has_decoder else [finetuning]
    rates = {
        rate.name: rate.numpy().ravel()
        for rate, steps in zip(learner.learning_rates, taken, strict=False)
        if steps  # a rate of no steps is where it started
    }
    return Adaptation(latent, subject.scores(), rates)


def section(analysed):
    """Return the Section on adaptation."""
    subject = analysed.subject("test")
    found, split = adaptation_of(subject), analysed.evaluation("test").request.split
    header = ["latent steps", "fine-tuning steps", *subject.measures.values()]
    rows = [
        [str(latent), str(finetuning), *(_interval_text(values[row]) for values in found.scores.values())]
        for row, (latent, finetuning) in enumerate(found.steps())
    ]
    tables = [Table(header, rows)]
    pictures = {
        "steps": Picture(
            steps_figure(found, subject.measures),
            f"After each step, on the queries of {len(subject.tasks)} {split} tasks; bands are 95 % intervals over "
            "tasks. Latent steps first, then fine-tuning steps.",
        )
    }
    if found.rates:
        tables.append(
            Table(
                ["learned rate", *SPREAD_HEADER, "below 0"],
                [
                    [_words(name), *spread_cells(rate), f"{100 * np.mean(rate < 0):.0f} %"]
                    for name, rate in found.rates.items()
                ],
            )
        )
        caption = "Learned rates of the steps, one for each dimension. Below 0 a step goes uphill in that dimension."
        pictures["rates"] = Picture(rates_figure(found), caption)
    text = [
        f"How the model does at the start and after each step of adaptation, on {len(subject.tasks)} {split} tasks."
    ]
    return Section("Adaptation", text, tables, pictures, {**analysed.about("test"), **found.summary()})


def _interval_text(values):
    interval = confidence_interval(values)
    return f"{interval.mean:.4f} ± {interval.half_width:.4f}"


def steps_figure(found, labels):
    """Draw an Adaptation's scores against steps; labels: {measure: axis label}."""
    figure = plots.new_figure(3.6 * len(found.scores), 3.4)
    places = np.arange(len(found.steps()))
    for axes, (name, values) in zip(
        figure.subplots(1, len(labels), squeeze=False).flat, found.scores.items(), strict=True
    ):
        intervals = [confidence_interval(row) for row in values]
        means, widths = (np.array(column) for column in zip(*intervals, strict=True))
        axes.fill_between(places, means - widths, means + widths, color="C0", alpha=0.25, lw=0)
        axes.plot(places, means, "C0-o", ms=3)
        if 0 < found.latent_steps < places[-1]:
            axes.axvline(found.latent_steps, color="0.6", ls=":")
        axes.set(xlabel="steps taken", ylabel=labels[name], xticks=places)
    return plots.finished(figure)


def rates_figure(found):
    """Draw histograms of an Adaptation's learned rates."""
    figure = plots.new_figure(3.8 * len(found.rates), 2.8)
    for axes, (name, rate) in zip(
        figure.subplots(1, len(found.rates), squeeze=False).flat, found.rates.items(), strict=True
    ):
        axes.hist(rate, bins=_BINS)
        axes.locator_params(axis="x", nbins=6)
        axes.axvline(0, color="0.6", lw=0.8)
        axes.set(xlabel=_words(name), ylabel="dimensions")
    return plots.finished(figure)


def _words(name):
    return name.replace("_", " ")
