"""evaluate.py on the runs of a test module."""

import pytest
from absl import flags

from leo_tf.commands import evaluate


@pytest.fixture
def evaluate_py(runs, request):
    """A function that runs the command on a run and returns the directory's new files by name.

    The module has a fixture `runs`, a folder of runs, and names the usual one in RUN.
    """

    def command(*arguments, run=request.module.RUN):
        values = flags.FlagValues()
        evaluate.define_flags(values)
        values(["evaluate.py", f"--checkpoint_path={runs / run}", *map(str, arguments)])
        before = set((runs / run).iterdir())
        assert evaluate.run(values) == 0
        return {path.name: path for path in set((runs / run).iterdir()) - before if path.is_file()}

    return command
