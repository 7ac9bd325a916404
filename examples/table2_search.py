"""A search of equal budget for rows of the paper's table 2, as the paper gave them; stopped, the same command goes on.

    python examples/table2_search.py searches/table2 leo,deterministic --flagfile=configs/mini_1shot.cfg --trials=20 ...

Flags after the rows go to every search. A row is a flagfile of configs/ablations, or leo. Prints a table at the end.
"""

import json
import subprocess
import sys
from pathlib import Path

CONFIGS = Path(__file__).parents[1] / "configs"


def search(folder, row, flags):
    """Run the search of a row, or go on with it."""
    ablation = [] if row == "leo" else [f"--flagfile={CONFIGS / 'ablations' / row}.cfg"]
    space = "maml" if row in ("maml", "metasgd") else "paper"
    own = [f"--study={folder / row}", f"--space={CONFIGS / 'search' / space}.toml"]
    subprocess.run([sys.executable, "-m", "leo_tf.search", *flags, *ablation, *own], check=True)


def table(folder, rows):
    """Return Markdown: what each row's search found and, with --final_seeds, what it gives on test tasks."""
    lines = ["| row | validation, searched | on fresh seeds | test, start | test, chosen |", "|---|---|---|---|---|"]
    for row in rows:
        found = json.loads((folder / row / "report.json").read_text())
        choice, final = found["repeated"][0], found["final"] or {}
        test = [mean_and_scatter(final[name]) if final else "" for name in ("start", "choice")]
        lines.append(f"| {row} | {choice['searched']:.2%} | {choice['judged']:.2%} | {' | '.join(test)} |")
    return "\n".join(lines)


def mean_and_scatter(scores):
    """Return the mean over seeds and the standard deviation over them, text."""
    mean = sum(scores) / len(scores)
    scatter = (sum((score - mean) ** 2 for score in scores) / (len(scores) - 1)) ** 0.5 if len(scores) > 1 else 0.0
    return f"{mean:.2%} (sd {scatter:.2%}, {len(scores)} seeds)"


def main():
    """Search row after row and print the table."""
    folder, rows, flags = Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:]
    for row in rows:
        search(folder, row, flags)
    print(table(folder, rows))


if __name__ == "__main__":
    main()
