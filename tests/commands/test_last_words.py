"""User errors that once ended in a traceback, each in its own process: one message, printed last, and status 2."""

import pytest
from command_lines import assert_refused, command


def test_a_flagfile_that_is_not_utf8(tmp_path):
    (tmp_path / "binary.cfg").write_bytes(bytes(range(128, 256)))
    assert_refused(command("train.py", f"--flagfile={tmp_path / 'binary.cfg'}"), "A flagfile is not UTF-8")


@pytest.mark.long
def test_an_error_after_tensorflow_was_loaded_is_the_last_line(tmp_path):
    done = command(
        *("train.py", "--dataset_name=glyphs", "--num_classes=1000", f"--checkpoint_path={tmp_path / 'run'}"),
    )
    assert_refused(done, "1000-way validation tasks need 1000")


@pytest.mark.parametrize("flag", ["--num_latents=100000000", "--metatrain_batch_size=9223372036854775808"])
def test_huge_sizes_are_refused(flag):
    assert_refused(command("train.py", flag), "Flags: " + flag.split("=")[0], "expected a whole number from 1 to")


@pytest.mark.long
def test_out_of_memory_names_what_to_lower():
    code = (
        "import tensorflow as tf; from leo_tf.commands.main import Command, run_command\n"
        "text = 'Graph execution error:\\n\\nOOM when allocating tensor\\nmore'\n"
        "def work(): raise tf.errors.ResourceExhaustedError(None, None, text)\n"
        "run_command(work, Command('', '', ''))"
    )
    done = command("-c", code)
    assert_refused(done, "Out of memory (OOM when allocating tensor). Lower metatrain_batch_size")


def test_an_out_of_memory_error_without_a_message():
    code = (
        "from leo_tf.commands.main import Command, run_command\n"
        "def work(): raise MemoryError\n"
        "run_command(work, Command('', '', ''))"
    )
    done = command("-c", code)
    assert_refused(done, "Out of memory (MemoryError). Lower metatrain_batch_size")
