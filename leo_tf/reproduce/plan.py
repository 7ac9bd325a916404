"""Plan of a reproduction: rows (models) x settings (data, shots) x seeds, each combination a cell of commands."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from leo_tf.errors import InputError
from leo_tf.execution import Job


@dataclasses.dataclass(frozen=True)
class Row:
    """A model of the table; a trained one is described by its flagfile in configs/ablations."""

    title: str
    trained: bool = True  # False: a baseline, fitted to each support set alone


# Baselines, then the models in the order of the paper's table 2.
ROWS = {
    "nearest_class_mean": Row("Nearest class mean", trained=False),
    "nearest_class_mean_whitened": Row("Nearest class mean, whitened", trained=False),
    "nearest_class_mean_plda": Row("Nearest class mean, PLDA", trained=False),
    "logistic_regression": Row("Logistic regression", trained=False),
    "logistic_regression_whitened": Row("Logistic regression, whitened", trained=False),
    "ridge": Row("Ridge", trained=False),
    "ridge_whitened": Row("Ridge, whitened", trained=False),
    "lda": Row("LDA", trained=False),
    "maml": Row("MAML"),
    "metasgd": Row("Meta-SGD"),
    "generator_only": Row("Conditional generator only"),
    "generator_finetuning": Row("Conditional generator + fine-tuning"),
    "random_prior": Row("LEO (random prior)"),
    "deterministic": Row("LEO (deterministic)"),
    "no_finetuning": Row("LEO (no fine-tuning)"),
    "code_per_class": Row("LEO (one code per class)"),
    "first_order": Row("LEO (first order)"),
    "leo": Row("LEO"),
}
# Rows of the paper's table 2, MAML, and logistic regression to compare with.
DEFAULT_ROWS = (
    *("logistic_regression", "maml", "metasgd", "generator_only", "generator_finetuning", "random_prior"),
    *("deterministic", "no_finetuning", "leo"),
)


@dataclasses.dataclass(frozen=True)
class Setting:
    """A column of the table: a flagfile, and flags after it."""

    config: str  # in the folder of flagfiles
    flags: tuple[str, ...] = ()
    published: str = ""  # the corresponding setting of the paper's table
    train_on_val: bool = False

    @property
    def multiview(self) -> bool:
        return "--embedding_crop=multiview" in self.flags


def _paper_settings() -> dict[str, Setting]:
    settings = {}
    for name in ("mini_1shot", "mini_5shot", "tiered_1shot", "tiered_5shot"):
        for suffix, on_val in (("", False), ("_trainval", True)):
            settings[name + suffix] = Setting(f"{name}{suffix}.cfg", (), name, on_val)
            if name.startswith("mini"):  # the published archive has no multiview tieredImageNet
                crop = ("--embedding_crop=multiview",)
                settings[f"{name}_multiview{suffix}"] = Setting(f"{name}{suffix}.cfg", crop, name, on_val)
    return settings


SETTINGS = _paper_settings() | {
    "glyphs_1shot": Setting("quickstart.cfg"),
    "glyphs_5shot": Setting("quickstart.cfg", ("--num_tr_examples_per_class=5",)),
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """A row in a setting with a seed: the flags of its training and of its evaluation."""

    row: str
    setting: str
    seed: int
    folder: Path
    train_flags: tuple[str, ...]
    evaluate_flags: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.row}/{self.setting}/{self.seed}"

    @property
    def result(self) -> Path:
        """The evaluation's summary; the results per task have the same name with .npz."""
        return self.folder / "evaluation.json"

    @property
    def job(self) -> Job:
        """Job of the commands that compute the cell."""
        if not ROWS[self.row].trained:
            flags = (f"--baseline={self.row}", *self.train_flags, *self.evaluate_flags)
            return Job(self.name, self.folder, (("-m leo_tf.reproduce.baseline_cell", flags),), self.result)
        commands = ("train.py", self.train_flags), ("evaluate.py", self.evaluate_flags)
        return Job(self.name, self.folder, commands, self.result, self.folder / "run")


def make_cells(
    rows: Sequence[str],
    settings: Sequence[str],
    seeds: Sequence[int],
    output: Path,
    configs: Path,
    train_flags: Sequence[str] = (),
    evaluate_flags: Sequence[str] = (),
) -> list[Cell]:
    """Return the cells of a table.

    Args:
      rows, settings: keys of ROWS and SETTINGS.
      seeds: training seeds.
      output: folder; a cell's is output/cells/ROW/SETTING/SEED.
      configs: folder of the flagfiles.
      train_flags, evaluate_flags: flags for every cell, after all others.

    Returns:
      List of Cell, seed after seed, so that a table of fewer seeds is complete early.

    Raises:
      InputError: an unknown row or setting, a missing flagfile, or nothing chosen.
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
                if not ROWS[row].trained and seed != seeds[0]:
                    continue  # a baseline does not depend on the seed
                folder = output / "cells" / row / setting_name / str(seed)
                run = f"--checkpoint_path={folder / 'run'}"
                flags = [_flagfile(configs / setting.config), *setting.flags]
                if ROWS[row].trained and row != "leo":
                    flags.append(_flagfile(configs / "ablations" / f"{row}.cfg"))
                train = (*flags, f"--seed={seed}", run, *train_flags)
                evaluate = (run, f"--output={folder / 'evaluation.json'}", *evaluate_flags)
                cells.append(Cell(row, setting_name, seed, folder, train, evaluate))
    return cells


def _require_known(what: str, chosen: Sequence[str], known: Mapping[str, object]) -> None:
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        raise InputError(f"Got {what} {', '.join(unknown) or 'none'}; expected some of {', '.join(known)}.", what)


def _flagfile(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"No flagfile {path}; expected the folder configs of leo_tf, or one like it.", "configs")
    return f"--flagfile={path}"
