"""Draw docs/quickstart.png from the run that `make quickstart` leaves: python docs/make_figures.py"""

import csv
import json
import sys
from pathlib import Path

from leo_tf.evaluation import plots
from leo_tf.files import write_bytes


def main(run="runs/quickstart", output="docs/quickstart.png"):
    with open(Path(run) / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    test = json.loads((Path(run) / "evaluation-test.json").read_text())
    validation = [row for row in rows if row["validation_accuracy"]]
    training = [row for row in rows if row["accuracy"]]
    figure = plots.new_figure(9, 3.2)
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    left.plot([int(r["step"]) for r in training], [100 * float(r["accuracy"]) for r in training], lw=0.8, alpha=0.5)
    left.errorbar(
        [int(r["step"]) for r in validation],
        [100 * float(r["validation_accuracy"]) for r in validation],
        [100 * float(r["validation_half_width"]) for r in validation],
        marker="o",
        ms=3,
    )
    left.legend(["training tasks (with dropout and noise)", "validation tasks"])
    left.set(xlabel="step", ylabel="5-way 1-shot accuracy, %", title="Meta-training on letterforms")
    names = {"nearest_class_mean": "nearest\nclass mean", "accuracy": "LEO"}
    for place, key in enumerate(names):
        bar = right.bar(place, 100 * test[key]["mean"], yerr=100 * test[key]["half_width"], capsize=4)
        right.bar_label(bar, fmt="%.1f", padding=3)
    right.set(xticks=range(len(names)), xticklabels=names.values(), ylim=(20, 75), title="Scripts never seen: test")
    write_bytes(output, plots.png(plots.finished(figure)))


if __name__ == "__main__":
    main(*sys.argv[1:])
