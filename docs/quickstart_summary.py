"""Summarise the two runs of `make quickstart`: a table, summary.json and quickstart.png in the first run's directory.

python docs/quickstart_summary.py RUN_OF_LEO RUN_OF_PROTO_LEO
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

from leo_tf.evaluation import plots
from leo_tf.evaluation.intervals import Interval
from leo_tf.files import write_bytes, write_json

SUMMARY, FIGURE = "summary.json", "quickstart.png"


def main(*runs: str) -> None:
    evaluations = [json.loads((Path(run) / "evaluation-test.json").read_text()) for run in runs]
    rows = ranking(evaluations)
    write_json(Path(runs[0]) / SUMMARY, rows)
    first = evaluations[0]
    print(
        f"\n{first['ways']}-way {first['shots']}-shot accuracy on unseen scripts, {first['num_tasks']} tasks, 95 % "
        "confidence intervals"
    )
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        print(f"  {row['name']:<{width}}  {Interval(row['accuracy'], row['half_width']).percent()}")
    figure = draw([validations(run) for run in runs], evaluations, rows)
    write_bytes(Path(runs[0]) / FIGURE, plots.png(figure))
    print(f"Figure: {Path(runs[0]) / FIGURE}")


def ranking(evaluations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return {name, accuracy, half_width} of all models and baselines, the best first."""
    assert len({each["tasks_digest"] for each in evaluations}) == 1  # the same tasks
    found = {name: interval for each in evaluations for name, interval in each["baselines"].items()}
    found |= {each["algorithm"]: each["accuracy"] for each in evaluations}
    rows = [{"name": name, "accuracy": i["mean"], "half_width": i["half_width"]} for name, i in found.items()]
    return sorted(rows, key=lambda row: -row["accuracy"])


def validations(run: str) -> list[tuple[int, float, float]]:
    """Return (step, accuracy, half-width) of every validation of a run, %."""
    with open(Path(run) / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["validation_accuracy"]]
    names = "validation_accuracy", "validation_half_width"
    return [(int(row["step"]), *(100 * float(row[name]) for name in names)) for row in rows]


def draw(curves: list[list[tuple[int, float, float]]], evaluations: list[dict], rows: list[dict]) -> Any:
    """Draw validation during training on the left, and test accuracy of everything on the right."""
    ways, shots = evaluations[0]["ways"], evaluations[0]["shots"]
    models = [each["algorithm"] for each in evaluations]
    colors = dict(zip(models, ("C0", "C1"), strict=True))
    figure = plots.new_figure(11, 4)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1])
    for name, curve in zip(models, curves, strict=True):
        steps, means, half_widths = zip(*curve, strict=True)
        tasks = f"{ways}-way {shots}-shot" if name == "LEO" else "tasks of many shapes"
        label = f"{name}: validation, {tasks}"
        left.errorbar(steps, means, half_widths, marker="o", ms=3, color=colors[name], label=label)
    left.axhline(100 / ways, color="0.6", ls=":", label=f"chance, {ways}-way")
    left.legend(fontsize="small", frameon=False, loc="center right", bbox_to_anchor=(1, 0.4))
    left.set(xlabel="step", ylabel="accuracy, %", ylim=(0, 100), title="Meta-training on letterforms")
    places = range(len(rows))[::-1]
    means = [100 * row["accuracy"] for row in rows]
    bars = right.barh(
        places,
        means,
        xerr=[100 * row["half_width"] for row in rows],
        color=[colors.get(row["name"], "0.8") for row in rows],
    )
    right.bar_label(bars, fmt="%.1f", padding=3, fontsize="small")
    right.set(xlim=(0, 109), xlabel=f"{ways}-way {shots}-shot accuracy, %", title="Test on unseen scripts")
    right.set_yticks(places, [row["name"] for row in rows], fontsize="small")
    return plots.finished(figure)


if __name__ == "__main__":
    main(*sys.argv[1:])
