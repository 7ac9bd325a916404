"""A search of equal budget for each row of the paper's table 2, as in the paper. Rerun the command to resume.

    python examples/table2_search.py searches/table2 leo,deterministic --flagfile=configs/mini_1shot.cfg --trials=20 ...

Flags after the rows go to every search. A row is a flagfile of configs/ablations, or leo. Prints a table at the end.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

CONFIGS = Path(__file__).parents[1] / "configs"


def search(folder: Path, row: str, flags: list[str]) -> None:
    """Start or resume the search of a row."""
    ablation = [] if row == "leo" else [f"--flagfile={CONFIGS / 'ablations' / row}.cfg"]
    space = "maml" if row in ("maml", "metasgd") else "paper"
    own = [f"--study={folder / row}", f"--space={CONFIGS / 'search' / space}.toml"]
    subprocess.run([sys.executable, "-m", "leo_tf.search", *flags, *ablation, *own], check=True)


def table(folder: Path, rows: list[str]) -> str:
    """Return a Markdown table: validation of each row's best trial and, with --final_seeds, its test accuracy."""
    lines = ["| row | validation in the search | with fresh seeds | test, base | test, best |", "|---|---|---|---|---|"]
    for row in rows:
        found = json.loads((folder / row / "report.json").read_text())
        best, final = found["candidates"][0], found["final"] or {}
        test = [mean_and_deviation(final[name]) if final else "" for name in ("base", "best")]
        lines.append(f"| {row} | {best['search_score']:.2%} | {best['score']:.2%} | {' | '.join(test)} |")
    return "\n".join(lines)


def mean_and_deviation(scores: list[float]) -> str:
    """Return the mean and the standard deviation over seeds, as text."""
    deviation = statistics.stdev(scores) if len(scores) > 1 else 0.0
    return f"{statistics.mean(scores):.2%} (sd {deviation:.2%}, {len(scores)} seeds)"


def main() -> None:
    """Search row after row and print the table."""
    folder, rows, flags = Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:]
    for row in rows:
        search(folder, row, flags)
    print(table(folder, rows))


if __name__ == "__main__":
    main()
