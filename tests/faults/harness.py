"""One way to strike at runs: start train.py, do something to it, continue, compare with a run that was left alone."""

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
SECONDS = 180  # after which a start has hung


class Process:
    """A script that was started."""

    def __init__(self, runs, number, output):
        self._runs, self.number, self._output = runs, number, output

    def kill(self, how=signal.SIGKILL):
        """Send a signal; one that is over already does not mind."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.number, how)

    def wait(self):
        """Return the exit status, negative for a signal; fails where it hangs."""
        status = self._runs.ask({"wait": [self.number, SECONDS]})
        assert status != "time is up", self.said
        return status

    @property
    def said(self):
        """What it printed so far."""
        return self._output.read_text(encoding="utf-8", errors="replace")


class Runs:
    """Starts scripts in forks of one process.

    Args:
      folder: for their output.
      preloaded: the compiled strike.c, or None.
      within: a command that runs another one, as words.
    """

    def __init__(self, folder, preloaded, within=()):
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(ROOT)}
        environment |= {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
        if preloaded:
            environment["LD_PRELOAD"] = str(preloaded)
        self._folder, self._count, self.can_strike = folder, 0, preloaded is not None
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
        """Start a script of the repository; `how` is as in forks.py. Returns a Process."""
        self._count += 1
        output = self._folder / f"output{self._count}"
        output.touch()
        output.chmod(0o666)
        how.setdefault("environment", {})
        request = {"script": str(ROOT / script), "arguments": list(arguments), "output": str(output), **how}
        return Process(self, self.ask({"start": request}), output)

    def train(self, path, *more, **how):
        """Start, or continue, the tiny run in a folder. Returns a Process."""
        return self.start("train.py", f"--checkpoint_path={path}", *TINY, *more, **how)

    def finish(self, path, *more, **how):
        """Continue the tiny run to its end; returns what it printed."""
        process = self.train(path, *more, **how)
        assert process.wait() == 0, process.said
        return process.said

    def strike(self, path, at, only="*", how="kill"):
        """Start the tiny run, and strike at change number `at` of the paths `only` in its folder. Returns a Process."""
        self._require_strikes()
        strike = {"STRIKE_FOLDER": path, "STRIKE_ONLY": only, "STRIKE_AT": at, "STRIKE_HOW": how}
        return self.train(path, environment={name: str(value) for name, value in strike.items()})

    def changes(self, path, only="*", how="kill"):
        """Run the tiny run in a new folder; return [(number, call, path below it)], its changes as `strike` counts."""
        self._require_strikes()
        log = self._folder / f"changes{self._count}"
        strike = {"STRIKE_FOLDER": path, "STRIKE_ONLY": only, "STRIKE_HOW": how, "STRIKE_LOG": log}
        self.finish(path, environment={name: str(value) for name, value in strike.items()})
        lines = [line.split(" ", 2) for line in log.read_text(encoding="utf-8").splitlines()]
        return [(int(number), call, below) for number, call, below in lines]

    def _require_strikes(self):
        if not self.can_strike:
            pytest.skip("needs Linux and a C compiler, for tests/faults/strike.c")

    def close(self):
        """End forks.py."""
        self._process.communicate(timeout=60)


def compiled_strike(folder):
    """Return strike.c as a library to be preloaded; None where that is not possible."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    library = folder / "strike.so"
    source = Path(__file__).with_name("strike.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True, timeout=60)
    return library


def wait_for_step(process, path, step):
    """Wait until a run has logged a step, or is over."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and Path(f"/proc/{process.number}").exists():
        if any(int(row["step"] or 0) >= step for row in rows_of(path)):
            return
        time.sleep(0.005)


def rows_of(path):
    """Return the rows of a run's metrics.csv; none, if it is not there yet."""
    try:
        with open(path / "metrics.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        return []


def require_same(path, whole, besides=frozenset()):
    """Require that two runs have bit for bit the same latest and best state, the same metrics, and no other files.

    Args:
      besides: files that the first may have and the other not.
    """
    for which in ("latest", "best"):
        expected, got = state_of(whole, which), state_of(path, which)
        assert expected.keys() == got.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(got[name], value, err_msg=f"{which}: {name}")
    expected, got = ([{**row, "steps_per_second": None} for row in rows_of(each)] for each in (whole, path))
    assert got == expected
    assert files_of(path) - besides == files_of(whole)


def files_of(path):
    """Return what files are in a folder, but TensorBoard's, of which every start has its own, and what is set aside."""
    files = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
    return {file for file in files if "events.out." not in file and "/damaged-" not in file}


def distinct(changes):
    """Return the numbers of changes that differ in more than that one more piece of the same file is written."""
    found = {}
    for number, call, path in changes:
        found.setdefault((call, re.sub(r"tempstate[0-9]+|[0-9a-f]{8}|tfevents\..*", "", path)), number)
    return sorted(found.values())
