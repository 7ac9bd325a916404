"""Help of the commands, and a terminal that shows only their own log lines."""

import re

import pytest
from absl import flags
from command_lines import command

from leo_tf.commands import evaluate, train
from leo_tf.commands.help import GROUPS, grouped, help_text
from leo_tf.commands.main import error_lines
from leo_tf.errors import InputError


def defined(module):
    values = flags.FlagValues()
    module.define_flags(values)
    return values


SUBCOMMANDS = {
    "train": ("train.py",),
    "evaluate": ("evaluate.py",),
    "predict": ("-m", "leo_tf.predict"),
    "search": ("-m", "leo_tf.search"),
    "analyze": ("-m", "leo_tf.analysis"),
    "reproduce": ("-m", "leo_tf.reproduce"),
    "export": ("-m", "leo_tf.export"),
    "pretrain": ("-m", "leo_tf.features.pretrain"),
    "extract": ("-m", "leo_tf.features.extract"),
}


def test_the_command_group_lists_its_subcommands():
    done = command("-X", "importtime", "-m", "leo_tf", "--help")
    assert done.returncode == 0
    listed = [line.split()[0] for line in done.stdout.splitlines() if re.match(r"  \w+ ", line)]
    assert listed == list(SUBCOMMANDS)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not {"absl", "numpy", "tensorflow"} & imported


def test_the_command_group_refuses_an_unknown_subcommand():
    done = command("-m", "leo_tf", "trian")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("Error: Unknown subcommand 'trian'; expected one of train, evaluate, ")


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_has_help(name):
    grouped, alone = command("-m", "leo_tf", name, "--help"), command(*SUBCOMMANDS[name], "--help")
    for done, usage in ((grouped, f"leo-tf {name}"), (alone, " ".join(("python", *SUBCOMMANDS[name])))):
        assert done.returncode == 0 and done.stderr == ""
        for part in (f"Usage:    {usage} [", f"Example:  {usage} --", "\n  --"):
            assert part in done.stdout


@pytest.mark.parametrize("module", [train, evaluate])
def test_help_lists_every_flag_once_in_its_group(module):
    values = defined(module)
    text = help_text("About.", "python it.py", "python it.py --seed=1", values)
    names = [name for name in values if name not in ("help", "helpfull", "helpshort", "helpxml", "?")]
    for name in names:
        assert sum(line.startswith((f"  --{name}=", f"  --[no]{name}")) for line in text.splitlines()) == 1, name
    assert set(grouped(values)) <= set(GROUPS)
    assert max(map(len, text.splitlines())) <= 105


def test_help_names_defaults_and_choices():
    text = help_text("About.", "python it.py", "", defined(train))
    assert "  --jit=auto|on|off\n      compile with XLA; auto: where it was measured to be faster (default: a" in text
    assert "  --outer_lr=NUMBER\n      learning rate of Adam (default: 0.0001)" in text
    assert "(default: true)" in text


def test_help_marks_the_settings_that_evaluation_takes_from_the_run():
    text = help_text("About.", "python it.py", "", defined(evaluate))
    assert "  --num_classes=NUMBER\n      ways: classes in a task (default: the run's)" in text
    assert "(default: the run's)" not in help_text("About.", "python it.py", "", defined(train))


def test_an_error_lists_the_flags_of_its_settings_that_the_command_has():
    values = defined(train)
    error = InputError("num_latents=0 was given.", "num_latents", "seed", "num_latents", "no_flag_of_train")
    assert error_lines(error, values) == ["Error: num_latents=0 was given.", "Flags: --num_latents, --seed"]
    assert error_lines(InputError("No data.", "no_flag_of_train"), values) == ["Error: No data."]


@pytest.mark.long
def test_stderr_holds_only_our_own_lines(tmp_path):
    run = f"--checkpoint_path={tmp_path / 'run'}"
    small = ("--num_latents=2", "--inner_unroll_length=1", "--finetuning_unroll_length=1", "--jit=off")
    short = ("--num_steps_limit=2", "--checkpoint_steps=1", "--metavalid_tasks=4", "--metavalid_queries=2")
    done = command("train.py", "--dataset_name=glyphs", run, *small, *short, "--distribution=mirrored")
    assert done.returncode == 0, done.stderr
    lines = [line[9:] for line in done.stderr.splitlines()]
    assert len(set(lines)) == len(lines)
    starts = (
        *(
            "glyphs/train: 636 classes",
            "Computing on ",
            "Compiling the first step; that takes",
            "Compiled, and at step 1 ",
        ),
        *("step 1 of 2: loss ", "step 2 of 2: loss "),
    )
    rest = [line for line in lines if "points below nearest class mean" not in line and "examples; " not in line]
    assert [line.startswith(start) for line, start in zip(rest, starts, strict=True)] == [True] * 6, done.stderr
    assert ", float32, XLA off; distribution=mirrored finds one device" in rest[1]
    assert "accuracy" in rest[4] and "left; validation accuracy" in rest[5] and "nearest class mean" in rest[5]
    done = command("evaluate.py", run, "--num_tasks=10", "--queries=5")
    assert done.returncode == 0 and done.stderr == "", done.stderr


@pytest.mark.long
def test_verbosity_shows_tensorflows_log(tmp_path):
    done = command("train.py", "--dataset_name=glyphs", "--num_classes=1000", "--verbosity=0")
    assert done.returncode == 2
    # Which lines depends on the processor; all of TensorFlow's C++ ones that are so early begin alike.
    assert re.search(r"^[IWE]0000 00:00:", done.stderr, re.MULTILINE)
