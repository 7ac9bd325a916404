"""Draw README's figure from README's table: python docs/make_accuracy_figure.py"""

import re
from pathlib import Path

from leo_tf.evaluation import plots
from leo_tf.files import write_bytes

ROOT = Path(__file__).parents[1]
SHOWN = ("nearest class mean", "LEO, as in the paper", "nearest class mean, PLDA", "ProtoLEO")


def table(text: str) -> tuple[list[str], dict[str, list[tuple[float, float]]]]:
    """Return (column titles, {row: [(accuracy, half-width), ...]}) of the table of results in README."""
    lines = [line.replace("**", "").strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    header = next(number for number, cells in enumerate(lines) if cells[0].startswith("5-way accuracy"))
    rows = {}
    for name, *cells in lines[header + 1 :]:
        found = [re.fullmatch(r"([\d.]+) \+- ([\d.]+)", cell) for cell in cells]
        if not all(found):
            break
        rows[name] = [(float(match[1]), float(match[2])) for match in found]
    return lines[header][1:], rows


def main() -> None:
    columns, rows = table((ROOT / "README.md").read_text(encoding="utf-8"))
    figure = plots.new_figure(9, 3.2)
    axes = figure.subplots()
    width = 0.8 / len(SHOWN)
    for number, name in enumerate(SHOWN):
        places = [column + (number - (len(SHOWN) - 1) / 2) * width for column in range(len(columns))]
        means, half_widths = zip(*rows[name], strict=True)
        bars = axes.bar(places, means, width, yerr=half_widths, label=name)
        axes.bar_label(bars, fmt="%.1f", fontsize="x-small", padding=1)
    axes.set(xticks=range(len(columns)), xticklabels=columns, ylabel="5-way accuracy, % (chance: 20)", ylim=(20, 104))
    axes.legend(fontsize="small", ncols=len(SHOWN), loc="upper center", bbox_to_anchor=(0.5, 1.15), frameon=False)
    write_bytes(ROOT / "docs" / "accuracy.png", plots.png(plots.finished(figure)))


if __name__ == "__main__":
    main()
