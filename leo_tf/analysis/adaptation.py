"""A learner's scores after each step of adaptation and without single support examples, and its learned rates."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from leo_tf.analysis.context import AnalysisContext
from leo_tf.analysis.section import QUANTILE_HEADER, CaptionedFigure, Section, Table, quantile_cells, quantiles
from leo_tf.analysis_target import AnalysisTarget
from leo_tf.evaluation import plots
from leo_tf.evaluation.intervals import confidence_interval
from leo_tf.learners.meta_learner import MetaLearner


@dataclasses.dataclass(frozen=True)
class Adaptation:
    """Scores of a learner before and after each of its steps."""

    latent_steps: int  # which come first
    scores: Mapping[str, np.ndarray]  # {measure: [steps + 1, tasks]}, from AnalysisTarget.scores
    learning_rates: Mapping[str, np.ndarray]  # {name: [n]}, the learned ones

    @property
    def steps(self) -> list[tuple[int, int]]:
        """Numbers of latent and of fine-tuning steps in each row of the scores."""
        rows, latent = len(next(iter(self.scores.values()))), self.latent_steps
        return [(min(step, latent), max(0, step - latent)) for step in range(rows)]

    def summary(self) -> dict[str, Any]:
        """Return a plain dict for JSON; gains are differences to no steps at all, paired over tasks."""
        return {
            "steps": [
                {
                    "latent_steps": latent,
                    "finetuning_steps": finetuning,
                    **_intervals({name: values[row] for name, values in self.scores.items()}),
                    "gain": _intervals({name: values[row] - values[0] for name, values in self.scores.items()}),
                }
                for row, (latent, finetuning) in enumerate(self.steps)
            ],
            "learning_rates": {
                name: {**quantiles(rates), "fraction_below_zero": float(np.mean(rates < 0))}
                for name, rates in self.learning_rates.items()
            },
        }


def _intervals(scores: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: confidence_interval(values)._asdict() for name, values in scores.items()}


def measure_adaptation(target: AnalysisTarget) -> Adaptation:
    """Score a target's learner before and after every step, in one pass over the tasks.

    Meta-training optimises the scores after the learner's own number of steps; those before, or with more steps (see
    `with_steps`), need not be good.
    """
    learner = target.learner
    latent, finetuning = learner.inner_steps
    taken = [latent, finetuning] if learner.has_latents else [finetuning]
    rates = {
        rate.name: rate.numpy().ravel()
        for rate, steps in zip(learner.learning_rates, taken, strict=False)
        if steps  # without steps, a rate still has its initial value
    }
    return Adaptation(latent, target.scores(), rates)


def with_steps(learner: MetaLearner, latent_steps: int, finetuning_steps: int) -> MetaLearner:
    """Return a learner of the same weights with other numbers of steps; MAML has no latent ones."""
    config = learner.config_of_steps(latent_steps, finetuning_steps)
    other = type(learner).from_config({**learner.get_config(), "config": dataclasses.asdict(config)})
    other.set_weights(learner.get_weights())
    return other


def section(context: AnalysisContext) -> Section:
    """Return the adaptation Section."""
    target, split = context.target("test"), context.evaluation("test").request.split
    found = measure_adaptation(target)
    on_tasks = f"{len(target.tasks)} {split} tasks"
    rows = []
    for steps, scores in zip(found.steps, zip(*found.scores.values(), strict=True), strict=True):
        intervals = map(confidence_interval, scores)
        rows.append([*map(str, steps), *(f"{each.mean:.4f} ± {each.half_width:.4f}" for each in intervals)])
    tables = [Table(["latent steps", "fine-tuning steps", *target.measures.values()], rows)]
    caption = (
        f"After each step, on the queries of {on_tasks}: first the latent steps, then those of fine-tuning. Bands are "
        "95 % intervals over tasks."
    )
    figures = {"steps": CaptionedFigure(_draw_steps(found, target.measures), caption)}
    rates = {name.replace("_", " "): values for name, values in found.learning_rates.items()}
    if rates:
        rows = [[name, *quantile_cells(each), f"{100 * np.mean(each < 0):.0f} %"] for name, each in rates.items()]
        tables.append(Table(["learned rate", *QUANTILE_HEADER, "below 0"], rows))
        caption = "Learned learning rates, one per dimension. Where one is below 0, steps go uphill in that dimension."
        figures["rates"] = CaptionedFigure(plots.draw_histograms(rates, "dimensions", line=0.0), caption)
    text = [f"Scores of the model before and after each step of adaptation, on {on_tasks}."]
    return Section("Adaptation", text, tables, figures, {**context.describe("test"), **found.summary()})


def _draw_steps(found: Adaptation, labels: Mapping[str, str]) -> Any:
    """Draw the scores of an Adaptation against steps; labels: {measure: axis label}."""
    figure = plots.new_figure(3.6 * len(found.scores), 3.4)
    steps = np.arange(len(found.steps))
    panels = figure.subplots(1, len(labels), squeeze=False).flat
    for axes, (name, values) in zip(panels, found.scores.items(), strict=True):
        means, half_widths = np.transpose([confidence_interval(row) for row in values])
        axes.fill_between(steps, means - half_widths, means + half_widths, color="C0", alpha=0.25, lw=0)
        axes.plot(steps, means, "C0-o", ms=3)
        if 0 < found.latent_steps < steps[-1]:
            axes.axvline(found.latent_steps, color="0.6", ls=":")
        axes.set(xlabel="steps taken", ylabel=labels[name], xticks=steps)
    return plots.finished(figure)


def leave_one_out_section(
    context: AnalysisContext, leave_one_out: Callable[[Any], Any], labels: Mapping[str, str]
) -> Section:
    """Return the leave-one-out Section.

    leave_one_out: function from an AnalysisTarget to a NamedTuple of arrays [tasks, ...]; labels: {field: description}.
    """
    found, split = leave_one_out(context.target("test")), context.evaluation("test").request.split
    fields = {labels[name]: values for name, values in found._asdict().items()}
    tasks = len(found[0])
    caption = f"Adaptation without a support example compared with all, for every example of {tasks} {split} tasks."
    text = [
        f"The influence of single examples: the model is adapted to {tasks} {split} tasks again with each support "
        "example left out. An example without which the answers get better is untypical of its class, or mislabelled."
    ]
    summary = {**context.describe("test"), "num_tasks": tasks}
    summary |= {name: quantiles(values) for name, values in found._asdict().items()}
    return Section(
        "Leave-one-out influence",
        text,
        [Table(["", *QUANTILE_HEADER], [[name, *quantile_cells(values)] for name, values in fields.items()])],
        {"leave_one_out": CaptionedFigure(plots.draw_histograms(fields, "examples"), caption)},
        summary,
    )
