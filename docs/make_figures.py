"""Draw the figure of the quickstart from its run: python docs/make_figures.py [RUN [OUTPUT]]"""

import csv
import json
import sys
from pathlib import Path

from leo_tf.evaluation import plots
from leo_tf.files import write_bytes


def main(run: str = "runs/quickstart", output: str = "docs/quickstart.png") -> None:
    with open(Path(run) / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    test = json.loads((Path(run) / "evaluation-test.json").read_text())
    validation = [row for row in rows if row["validation_accuracy"]]
    training = [row for row in rows if row["accuracy"]]
    chance = 100 / test["ways"]
    figure = plots.new_figure(9, 3.4)
    left, right = figure.subplots(1, 2, width_ratios=[2, 1], sharey=True)
    left.plot([int(r["step"]) for r in training], [100 * float(r["accuracy"]) for r in training], lw=0.8, alpha=0.5)
    left.errorbar(
        [int(r["step"]) for r in validation],
        [100 * float(r["validation_accuracy"]) for r in validation],
        [100 * float(r["validation_half_width"]) for r in validation],
        marker="o",
        ms=3,
    )
    left.axhline(chance, color="0.6", ls=":")
    left.legend(["training tasks (with dropout and sampling)", "validation tasks", "chance"], fontsize="small")
    shape = f"{test['ways']}-way {test['shots']}-shot"
    left.set(xlabel="step", ylabel=f"{shape} accuracy, %", title="Meta-training on letterforms")
    names = {"nearest_class_mean": "nearest\nclass mean", "accuracy": test["algorithm"]}
    for place, key in enumerate(names):
        bar = right.bar(place, 100 * test[key]["mean"], yerr=100 * test[key]["half_width"], capsize=4)
        right.bar_label(bar, fmt="%.1f", padding=3)
    right.axhline(chance, color="0.6", ls=":")
    right.set(xticks=range(len(names)), xticklabels=names.values(), ylim=(0, 100), title="Test on unseen scripts")
    write_bytes(output, plots.png(plots.finished(figure)))
    print(f"Figure: {output}")


if __name__ == "__main__":
    main(*sys.argv[1:])
