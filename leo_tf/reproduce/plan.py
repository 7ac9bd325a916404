"""What a reproduction consists of: rows (models) x settings (data, shots) x seeds, each a cell of commands."""

import dataclasses
from pathlib import Path

from leo_tf.errors import InputError
from leo_tf.execution import Job


@dataclasses.dataclass(frozen=True)
class Row:
    """A model of the table: flags on top of a setting's."""

    title: str
    flags: tuple[str, ...] = ()
    trained: bool = True  # false: a classifier fitted to each support set alone


def _baseline(title, name):
    return Row(title, (f"--baseline={name}",), trained=False)


# Baselines, then in the order of the paper's table 2. The same flags are in configs/ablations.
ROWS = {
    "nearest_class_mean": _baseline("Nearest class mean", "nearest_class_mean"),
    "nearest_class_mean_whitened": _baseline("Nearest class mean, whitened", "nearest_class_mean_whitened"),
    "nearest_class_mean_plda": _baseline("Nearest class mean, PLDA", "nearest_class_mean_plda"),
    "logistic_regression": Row("Logistic regression", (), trained=False),
    "logistic_regression_whitened": _baseline("Logistic regression, whitened", "logistic_regression_whitened"),
    "ridge": _baseline("Ridge", "ridge"),
    "ridge_whitened": _baseline("Ridge, whitened", "ridge_whitened"),
    "lda": _baseline("LDA", "lda"),
    "maml": Row("MAML", ("--algorithm=maml",)),
    "metasgd": Row("Meta-SGD", ("--algorithm=metasgd",)),
    "generator_only": Row("Conditional generator only", ("--inner_unroll_length=0", "--finetuning_unroll_length=0")),
    "generator_finetuning": Row(
        "Conditional generator + fine-tuning", ("--inner_unroll_length=0", "--finetuning_unroll_length=5")
    ),
    "random_prior": Row("LEO (random prior)", ("--codes_from=prior",)),
    "deterministic": Row("LEO (deterministic)", ("--stochastic=false",)),
    "no_finetuning": Row("LEO (no fine-tuning)", ("--inner_unroll_length=5", "--finetuning_unroll_length=0")),
    "code_per_class": Row("LEO (one code a class)", ("--codes_per_class=class",)),
    "first_order": Row("LEO (first order)", ("--first_order=true",)),
    "leo": Row("LEO"),
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """A column of the table: a flagfile and flags on top of it."""

    config: str  # in the folder of flagfiles
    flags: tuple[str, ...] = ()
    published: str = ""  # the setting of the paper's table that it is
    train_on_val: bool = False

    @property
    def multiview(self):
        return "--embedding_crop=multiview" in self.flags


def _paper_settings():
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
    """One training run and its evaluation."""

    row: str
    setting: str
    seed: int
    folder: Path
    train_flags: tuple[str, ...]
    evaluate_flags: tuple[str, ...]

    @property
    def name(self):
        return f"{self.row}/{self.setting}/{self.seed}"

    @property
    def result(self):
        """The evaluation's summary; its per-task results have the same name with .npz."""
        return self.folder / "evaluation.json"

    @property
    def job(self):
        """The commands that make it, a Job."""
        if not ROWS[self.row].trained:
            classical = ("-m leo_tf.reproduce.classical", (*self.train_flags, *self.evaluate_flags))
            return Job(self.name, self.folder, (classical,), self.result)
        commands = ("train.py", self.train_flags), ("evaluate.py", self.evaluate_flags)
        return Job(self.name, self.folder, commands, self.result, self.folder / "run")


def cells(rows, settings, seeds, output, configs, train_flags=(), evaluate_flags=()):
    """Return the cells of a table.

    Args:
      rows, settings: keys of ROWS and SETTINGS.
      seeds: ints.
      output: folder; a cell's is output/cells/ROW/SETTING/SEED.
      configs: folder of the flagfiles.
      train_flags, evaluate_flags: flags for every cell, after all others.

    Returns:
      List of Cell, seed after seed, so that a table of fewer seeds is complete early.

    Raises:
      InputError: an unknown row or setting, a missing flagfile, nothing chosen.
    """
    for kind, chosen, known in (("row", rows, ROWS), ("setting", settings, SETTINGS)):
        unknown = [name for name in chosen if name not in known]
        if unknown or not chosen:
            raise InputError(f"Got {kind}s {', '.join(unknown) or 'none'}; expected some of {', '.join(known)}.")
    if not seeds:
        raise InputError("Got no seeds; expected whole numbers, as in --seeds=0,1,2.")
    result = []
    for seed in dict.fromkeys(seeds):
        for setting_name in dict.fromkeys(settings):
            setting = SETTINGS[setting_name]
            flagfile = Path(configs) / setting.config
            if not flagfile.is_file():
                raise InputError(f"No flagfile {flagfile}; expected the project's folder of them in --configs.")
            for row in dict.fromkeys(rows):
                if not ROWS[row].trained and seed != seeds[0]:
                    continue  # the same again
                folder = Path(output) / "cells" / row / setting_name / str(seed)
                run = f"--checkpoint_path={folder / 'run'}"
                own = (f"--flagfile={flagfile}", *setting.flags, *ROWS[row].flags)
                result.append(
                    Cell(
                        row,
                        setting_name,
                        seed,
                        folder,
                        (*own, f"--seed={seed}", run, *train_flags),
                        (run, f"--output={folder / 'evaluation.json'}", *evaluate_flags),
                    )
                )
    return result
