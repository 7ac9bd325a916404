"""Flagfiles give a configuration or an InputError, never another exception."""

import time
from pathlib import Path

import pytest
from absl import flags
from fuzzing import EFFORT, corrupted, fuzz, little_memory, refusing
from hypothesis import strategies as st

from leo_tf import RunConfig
from leo_tf.commands.flags import define_run_flags, refuse_positional, run_config
from leo_tf.commands.main import parsed
from leo_tf.errors import InputError

pytestmark = pytest.mark.long

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = ["num_latents", "outer_lr", "jit", "problem", "algorithm", "download", "data_path", "kl", "seed", "patience"]
TEXTS = [
    "",
    "0",
    "1",
    "-1",
    "1e999",
    "nan",
    "true",
    "maybe",
    "leo",
    "maml",
    "regression",
    "9" * 50,
    "9" * 5000,
    "é",
    "\0",
]


@st.composite
def lines(draw):
    """Draw lines that look like flags."""
    name = draw(st.sampled_from(NAMES) | st.text(max_size=5))
    value = draw(st.sampled_from(TEXTS) | st.text(max_size=5))
    form = draw(st.sampled_from(["--{}={}", "--{}\n{}", "-{}={}", "--no{}", "{}={}", "--{}", "# {} {}", "// {}", "--"]))
    return form.format(name, value)


@EFFORT
def test_flagfiles(tmp_path, effort):
    file, other = tmp_path / "run.cfg", tmp_path / "other.cfg"
    other.write_text("--seed=3\n")

    own = flags.FlagValues()
    define_run_flags(own)

    def check(content):
        file.write_bytes(content)
        own.unparse_flags()
        with refusing():
            refuse_positional(parsed(["train.py", f"--flagfile={file}"], own))
            assert isinstance(run_config(own), RunConfig)

    originals = [path.read_bytes() for path in sorted(CONFIGS.glob("**/*.cfg"))]
    nested = st.sampled_from([f"--flagfile={path}" for path in (file, other, tmp_path, tmp_path / "none", "\0", "")])
    written = st.lists(lines() | nested, max_size=5).map(lambda each: "\n".join(each).encode("utf-8", "replace"))
    fuzz(st.one_of(written, written, corrupted(*originals)), check, 120, effort)


@pytest.mark.parametrize("asked", ["--flagfile=\0", "--flagfile", "--flagfile=/none", "--undefok", "--nothing=1"])
def test_invalid_arguments(asked):
    own = flags.FlagValues()
    define_run_flags(own)
    with pytest.raises(InputError, match=r"\(--help lists the flags\.\)$"):
        parsed(["train.py", asked], own)


@pytest.mark.parametrize("letters", [900, 5000])
def test_a_long_line_that_looks_like_a_flag(tmp_path, letters):
    """absl takes 11 seconds for 900 letters, and raises RecursionError for 5,000."""
    own, file = flags.FlagValues(), tmp_path / "run.cfg"
    define_run_flags(own)
    file.write_text("--" + "9" * letters + "\n")
    start = time.thread_time()
    with little_memory(5e6), pytest.raises(InputError, match=r"Unknown command line flag '9{80}'\.\.\."):
        parsed(["train.py", f"--flagfile={file}"], own)
    assert time.thread_time() - start < 3
