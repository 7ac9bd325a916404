"""Fault injection into runs: start train.py, disturb it, resume, and compare with a reference run."""

import contextlib
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from run_states import state_of

ROOT = Path(__file__).parents[2]
STEPS, EVERY = 200, 40
TINY = (
    *("--dataset_name=glyphs", "--num_classes=3", "--metavalid_queries=5", "--num_latents=4", "--jit=off"),
    *("--inner_unroll_length=1", "--finetuning_unroll_length=1", "--metatrain_batch_size=2", "--metavalid_tasks=5"),
    *(f"--checkpoint_steps={EVERY}", "--log_steps=5", f"--num_steps_limit={STEPS}", "--outer_lr=0.001"),
)
SECONDS = 180  # after which a process counts as hanging


class Process:
    """A running script."""

    def __init__(self, runs, number, output):
        self._runs, self.number, self._output = runs, number, output

    def kill(self, how=signal.SIGKILL):
        """Send a signal, which has no effect on a process that has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.number, how)

    def wait(self):
        """Return the exit status, negative for a signal; fails if the process hangs."""
        status = self._runs.ask({"wait": [self.number, SECONDS]})
        assert status != "timeout", self.output
        return status

    @property
    def output(self):
        """Standard output and error so far."""
        return self._output.read_text(encoding="utf-8", errors="replace")


class Runs:
    """Starts scripts in forks of one process.

    Args:
      folder: directory for their output.
      preloaded: the compiled fault_injection.c, or None.
      within: words of a command that runs another one.
    """

    def __init__(self, folder, preloaded, within=()):
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(ROOT)}
        environment |= {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
        if preloaded:
            environment["LD_PRELOAD"] = str(preloaded)
        self._folder, self._count, self.can_inject = folder, 0, preloaded is not None
        self._process = subprocess.Popen(
            [*within, sys.executable, str(Path(__file__).with_name("forks.py"))],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def ask(self, request):
        """Send a request to forks.py, and return its answer."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        return json.loads(self._process.stdout.readline() or '"forks.py ended"')

    def start(self, script, *arguments, **how):
        """Start a script of the repository, `how` as in forks.py; return a Process."""
        self._count += 1
        output = self._folder / f"output{self._count}"
        output.touch()
        output.chmod(0o666)
        how.setdefault("environment", {})
        request = {"script": str(ROOT / script), "arguments": list(arguments), "output": str(output), **how}
        return Process(self, self.ask({"start": request}), output)

    def train(self, path, *more, **how):
        """Start or resume the tiny run in a directory; return a Process."""
        return self.start("train.py", f"--checkpoint_path={path}", *TINY, *more, **how)

    def finish(self, path, *more, **how):
        """Run or resume the tiny run to its end; return its output."""
        process = self.train(path, *more, **how)
        assert process.wait() == 0, process.output
        return process.output

    def train_with_fault(self, path, at, only="*", how="kill"):
        """Start the tiny run with a fault at change number `at` of the paths `only`; return a Process."""
        self._require_injection()
        fault = {"FAULT_DIRECTORY": path, "FAULT_PATTERN": only, "FAULT_AT": at, "FAULT_KIND": how}
        return self.train(path, environment={name: str(value) for name, value in fault.items()})

    def changes(self, path, only="*", how="kill"):
        """Run the tiny run in a new directory; return its changes, [(number, call, path below it)]."""
        self._require_injection()
        log = self._folder / f"changes{self._count}"
        fault = {"FAULT_DIRECTORY": path, "FAULT_PATTERN": only, "FAULT_KIND": how, "FAULT_LOG": log}
        self.finish(path, environment={name: str(value) for name, value in fault.items()})
        lines = [line.split(" ", 2) for line in log.read_text(encoding="utf-8").splitlines()]
        return [(int(number), call, below) for number, call, below in lines]

    def _require_injection(self):
        if not self.can_inject:
            pytest.skip("needs Linux and a C compiler, for tests/faults/fault_injection.c")

    def close(self):
        """End forks.py."""
        self._process.communicate(timeout=60)


def compile_fault_injection(folder):
    """Compile fault_injection.c to a library that can be preloaded; None if that is not possible."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    library = folder / "fault_injection.so"
    source = Path(__file__).with_name("fault_injection.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True, timeout=60)
    return library


def wait_for_step(process, path, step):
    """Wait until a run has logged a step, or has ended."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and Path(f"/proc/{process.number}").exists():
        if any(int(row["step"] or 0) >= step for row in rows_of(path)):
            return
        time.sleep(0.005)


def rows_of(path):
    """Return the rows of a run's metrics.csv; none before it exists."""
    try:
        with open(path / "metrics.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        return []


def require_same(path, reference, ignoring=frozenset()):
    """Require that two runs have bit-identical latest and best states, the same metrics and the same files.

    Args:
      ignoring: files that only the first one may have.
    """
    for which in ("latest", "best"):
        expected, got = state_of(reference, which), state_of(path, which)
        assert expected.keys() == got.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(got[name], value, err_msg=f"{which}: {name}")
    expected, got = ([{**row, "steps_per_second": None} for row in rows_of(each)] for each in (reference, path))
    assert got == expected
    assert files_of(path) - ignoring == files_of(reference)


def require_error(process, message):
    """Require exit status 2 and one error message as the last thing printed, perhaps with its flags; no traceback."""
    assert process.wait() == 2, process.output
    *_, last = process.output.split("\nError: ")
    assert message in last and re.fullmatch(r".+\n(Flags: .+\n)?", last), process.output
    assert "Traceback" not in process.output, process.output


def files_of(path):
    """Return the files of a run, except TensorBoard's, of which each start writes its own, and corrupt checkpoints."""
    files = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
    return {file for file in files if "events.out." not in file and "/corrupt-" not in file}


def distinct(changes):
    """Return the numbers of the changes, only one of those that write the same file piece by piece."""
    found = {}
    for number, call, path in changes:
        found.setdefault((call, re.sub(r"tempstate[0-9]+|[0-9a-f]{8}|tfevents\..*", "", path)), number)
    return sorted(found.values())
