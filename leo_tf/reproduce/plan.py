"""Plan of a reproduction: rows (models) x settings (data, shots) x seeds, each combination a cell of commands."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from leo_tf.errors import InputError
from leo_tf.execution import Job

BASELINES = {  # fitted to each support set alone
    "nearest_class_mean": "Nearest class mean",
    "nearest_class_mean_whitened": "Nearest class mean, whitened",
    "nearest_class_mean_plda": "Nearest class mean, PLDA",
    "logistic_regression": "Logistic regression",
    "logistic_regression_whitened": "Logistic regression, whitened",
    "ridge": "Ridge",
    "ridge_whitened": "Ridge, whitened",
    "lda": "LDA",
}
# Rows of the table and their titles: baselines, then trained models in the order of the paper's table 2. A model is
# described by its flagfile in configs/ablations.
ROWS = BASELINES | {
    "maml": "MAML",
    "metasgd": "Meta-SGD",
    "generator_only": "Conditional generator only",
    "generator_finetuning": "Conditional generator + fine-tuning",
    "random_prior": "LEO (random prior)",
    "deterministic": "LEO (deterministic)",
    "no_finetuning": "LEO (no fine-tuning)",
    "code_per_class": "LEO (one code per class)",
    "first_order": "LEO (first order)",
    "leo": "LEO",
}
# Rows of the paper's table 2, MAML, and logistic regression to compare with.
DEFAULT_ROWS = (
    *("logistic_regression", "maml", "metasgd", "generator_only", "generator_finetuning", "random_prior"),
    *("deterministic", "no_finetuning", "leo"),
)


class Setting(NamedTuple):
    """A column of the table: a flagfile, and flags after it."""

    config: str  # in the folder of flagfiles
    flags: tuple[str, ...] = ()
    published: str = ""  # the corresponding setting of the paper's table
    train_on_val: bool = False


MULTIVIEW_CROP = "--embedding_crop=multiview"


def _paper_settings() -> dict[str, Setting]:
    settings = {}
    for name in ("mini_1shot", "mini_5shot", "tiered_1shot", "tiered_5shot"):
        for suffix, on_val in (("", False), ("_trainval", True)):
            settings[name + suffix] = Setting(f"{name}{suffix}.cfg", (), name, on_val)
            if name.startswith("mini"):  # the published archive has no multiview tieredImageNet
                settings[f"{name}_multiview{suffix}"] = Setting(f"{name}{suffix}.cfg", (MULTIVIEW_CROP,), name, on_val)
    return settings


SETTINGS = _paper_settings() | {
    "glyphs_1shot": Setting("quickstart.cfg"),
    "glyphs_5shot": Setting("quickstart.cfg", ("--num_tr_examples_per_class=5",)),
}


@dataclasses.dataclass(frozen=True)
class Cell(Job):
    """The job of a row in a setting with a seed; the results per task are beside its result, in an .npz file."""

    result: Path
    row: str = dataclasses.field(kw_only=True)
    setting: str = dataclasses.field(kw_only=True)
    seed: int = dataclasses.field(kw_only=True)


def make_cells(
    rows: Sequence[str],
    settings: Sequence[str],
    seeds: Sequence[int],
    output: Path,
    configs: Path,
    train_flags: Sequence[str] = (),
    evaluate_flags: Sequence[str] = (),
) -> list[Cell]:
    """Return the cells of a table, seed after seed, so that a table of fewer seeds is complete early.

    A cell's folder is output/cells/ROW/SETTING/SEED. `configs` has the flagfiles; `train_flags` and `evaluate_flags`
    are given to every cell, after all others.
    """
    _require_known("rows", rows, ROWS)
    _require_known("settings", settings, SETTINGS)
    if not seeds:
        raise InputError("Got no seeds; expected whole numbers, such as 0,1,2.", "seeds")
    cells = []
    for seed in dict.fromkeys(seeds):
        for setting_name in dict.fromkeys(settings):
            setting = SETTINGS[setting_name]
            for row in dict.fromkeys(rows):
                if row in BASELINES and seed != seeds[0]:
                    continue  # a baseline does not depend on the seed
                name = f"{row}/{setting_name}/{seed}"
                folder = output / "cells" / name
                result, run = folder / "evaluation.json", folder / "run"
                flags = [_flagfile(configs / setting.config), *setting.flags]
                if row not in BASELINES and row != "leo":
                    flags.append(_flagfile(configs / "ablations" / f"{row}.cfg"))
                train = (*flags, f"--seed={seed}", f"--checkpoint_path={run}", *train_flags)
                evaluate = (f"--checkpoint_path={run}", f"--output={result}", *evaluate_flags)
                fit = ("-m leo_tf.reproduce.baseline_cell", (f"--baseline={row}", *train, *evaluate))
                commands = (fit,) if row in BASELINES else (("train.py", train), ("evaluate.py", evaluate))
                cells.append(Cell(name, folder, commands, result, run, row=row, setting=setting_name, seed=seed))
    return cells


def _require_known(what: str, chosen: Sequence[str], known: Mapping[str, object]) -> None:
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        raise InputError(f"Got {what} {', '.join(unknown) or 'none'}; expected some of {', '.join(known)}.", what)


def _flagfile(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"No flagfile {path}; expected the folder configs of leo_tf, or one like it.", "configs")
    return f"--flagfile={path}"
