"""Published accuracies in per cent, to compare with measured ones.

The paper trained on the training and validation classes together (the authors' answer in issue 14 of the official
code), so its numbers compare only with a `_trainval` setting. Its +- is most likely over runs, not over tasks.
"""

SETTINGS = ("mini_1shot", "mini_5shot", "tiered_1shot", "tiered_5shot")

# LEO paper, table 2: accuracy and its +- for each of SETTINGS.
_TABLE_2 = {
    "metasgd": "54.24 0.03  70.86 0.04  62.95 0.03  79.34 0.06",
    "generator_only": "60.33 0.11  74.53 0.11  65.17 0.15  78.77 0.03",
    "generator_finetuning": "60.62 0.31  76.42 0.09  65.74 0.28  80.65 0.07",
    "random_prior": "61.01 0.12  77.27 0.05  65.39 0.10  80.83 0.13",
    "deterministic": "61.48 0.05  76.53 0.24  66.18 0.17  82.06 0.08",
    "no_finetuning": "61.62 0.15  77.46 0.12  66.14 0.17  80.89 0.11",
    "leo": "61.76 0.08  77.59 0.12  66.33 0.05  81.44 0.09",
}
_OFFICIAL_README = {"leo": "61.89 0.16  77.65 0.09  66.25 0.14  81.77 0.09"}
_MULTIVIEW = {"leo": "63.97 0.20  79.49 0.70"}  # paper, text; miniImageNet only


def _numbers(rows: dict[str, str]) -> dict[str, dict[str, tuple[float, float]]]:
    pairs = {}
    for row, text in rows.items():
        values = [float(number) for number in text.split()]
        pairs[row] = dict(zip(SETTINGS, zip(values[::2], values[1::2], strict=True), strict=False))
    return pairs


PAPER, OFFICIAL, MULTIVIEW = _numbers(_TABLE_2), _numbers(_OFFICIAL_README), _numbers(_MULTIVIEW)
