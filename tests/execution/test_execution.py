"""Jobs run, fail, are killed, stopped and resumed; none outlives its parent."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from job_calls import calls

from leo_tf import InputError, RunConfig
from leo_tf.execution import ExecutionConfig, Job, ProgressDisplay, make_executor, run_jobs, worker
from leo_tf.execution.job import thread_variables


def run(jobs, at_once=2, log=lambda line: None):
    with make_executor(ExecutionConfig(jobs=at_once)) as executor:
        return run_jobs(jobs, executor, log=log)


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("script", ["train.py", "evaluate.py", "-m leo_tf.reproduce.baseline_cell"])
def test_worker_finds_commands(script):
    assert callable(worker.main_function(script))


def test_failed_job_reports_reason_and_others_continue(job_of):
    said, jobs = [], [job_of("a", "fail", "ok"), job_of("b", "ok", "ok")]
    statuses = run(jobs, log=said.append)
    assert [status["ok"] for status in statuses.values()] == [False, True]
    assert statuses["a"]["reason"] == "Error: nothing there"
    assert calls(jobs[0]) == 1 and calls(jobs[1]) == 2
    assert any(line.startswith("a: FAILED: Error: nothing there after ") for line in said)
    assert said[-1].endswith("2 of 2 jobs, about 0:00 left")


def test_finished_jobs_are_skipped_and_failed_ones_retried(job_of):
    jobs = [job_of("a", "fail"), job_of("b", "ok")]
    run(jobs)
    run(jobs)
    assert [calls(job) for job in jobs] == [2, 1]
    jobs[1].status_file.write_text("{")  # corrupt
    run(jobs)
    assert calls(jobs[1]) == 2
    (jobs[1].folder / "result").unlink()
    run(jobs)
    assert calls(jobs[1]) == 3
    run([job_of("b", "ok", "ok")])  # different commands
    assert calls(jobs[1]) == 5


def test_killed_command_is_restarted_a_limited_number_of_times(job_of):
    once, always = job_of("once", "die once"), job_of("always", "die")
    statuses = run([once, always])
    assert statuses["once"]["ok"] and calls(once) == 2
    assert statuses["always"]["reason"].startswith("killed by signal 9, 3 times") and calls(always) == 3


def test_stopped_job_saves_and_writes_no_status(job_of):
    job = job_of("a", "wait", "ok")
    with make_executor(ExecutionConfig()) as executor:
        future = executor.submit(job)
        wait_for((job.folder / "waits").exists)
        executor.stop(job)
        status = future.result(30)
    assert not status["ok"] and status["stopped"]
    assert (job.folder / "saved").exists() and not job.status_file.exists() and calls(job) == 1


def test_running_jobs_are_stopped_on_exit(job_of):
    running, queued = job_of("a", "wait"), job_of("b", "ok")
    with pytest.raises(KeyboardInterrupt), make_executor(ExecutionConfig(jobs=1)) as executor:
        executor.submit(running)
        executor.submit(queued)
        wait_for((running.folder / "waits").exists)
        raise KeyboardInterrupt
    assert (running.folder / "saved").exists() and not queued.folder.exists()


PARENT = """
import sys, pathlib
from leo_tf.execution import ExecutionConfig, Job, make_executor, run_jobs
folder = pathlib.Path(sys.argv[1])
job = Job("a", folder, (("-m task", (sys.argv[2], str(folder))),), folder / "result")
with make_executor(ExecutionConfig()) as executor:
    run_jobs([job], executor)
"""


def test_job_saves_when_its_parent_is_killed_and_restart_waits_for_it(job_of):
    job = job_of("a", "wait")
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(job.folder), "wait"])
    try:
        wait_for((job.folder / "waits").exists)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    statuses = run([job_of("a", "ok")])  # immediately, so it has to wait for the lock
    assert statuses["a"]["ok"] and (job.folder / "saved").exists()


def test_unwritable_job_folder_stops_waiting_jobs(job_of):
    jobs = [job_of(str(number), "ok") for number in range(9)]
    jobs[0].folder.parent.mkdir(parents=True)
    jobs[0].folder.touch()
    with pytest.raises(InputError, match=f"Cannot write {jobs[0].folder} "):
        run(jobs, at_once=1)
    assert not jobs[-1].folder.exists()


def test_threads_are_divided_among_jobs(job_of, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert ExecutionConfig(jobs=3).threads == 2 and ExecutionConfig(jobs=9).threads == 1
    job = job_of("a", "threads")
    with make_executor(ExecutionConfig(threads_per_job=3)) as executor:
        run_jobs([job], executor, log=print)
    assert (job.folder / "threads").read_text() == "3"
    assert thread_variables(0) == {}


@pytest.mark.parametrize(
    "wrong",
    [{"jobs": 0}, {"threads_per_job": -1}, {"gpus_per_job": -1.0}, {"ray_address": "auto"}],
)
def test_invalid_settings_are_refused(wrong):
    with pytest.raises(InputError, match=r"was given[; ]"):
        ExecutionConfig(**wrong)


class Terminal:
    """Stderr that claims to be a terminal."""

    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_display_shows_steps_and_best_validation(job_of, monkeypatch, tmp_path):

    run_folder = tmp_path / "run"
    run_folder.mkdir()
    job = Job("trial-1", tmp_path / "job", (), run=run_folder)
    shown = dict(measure="accuracy", text="{:.1%}".format)
    screen, said = Terminal(), []
    monkeypatch.setattr(sys, "stderr", screen)
    with ProgressDisplay(4, 1, "trial", log=said.append, **shown) as display:
        display.started(job)
        display.refresh()
        assert "starting" in screen.text
        (run_folder / "config.json").write_text(RunConfig().to_json())
        (run_folder / "metrics.csv").write_text("step,validation_accuracy\n50,\n100,0.5\n200,0.625\n300,0.1")
        display.refresh()
        assert "best 62.5%" in screen.text and "200/100000" in screen.text  # the last row is incomplete
        display.ended(job, "done")
        early = Job("trial-2", tmp_path / "early", (), run=tmp_path / "none")
        display.started(early)
        display.ended(early, "FAILED")  # before its number of steps is known
    assert said and said[0].startswith("trial-1: done after 0 s; 2 of 4 trials, about ")
    monkeypatch.undo()
    monkeypatch.setattr("leo_tf.execution.progress_display._SECONDS_BETWEEN_LINES", 0.0)
    with (
        contextlib.redirect_stderr(sys.__stdout__),
        ProgressDisplay(4, 1, "trial", log=said.append, **shown) as display,
    ):
        display._is_terminal = False
        display.started(job)
        display.refresh()
    assert said[-1] == "running: trial-1 step 200 of 100000, best 62.5%; 3 left"


def test_status_is_readable_json(job_of):
    job = job_of("a", "ok")
    run([job])
    assert json.loads(job.status_file.read_text()).keys() == {"ok", "stopped", "commands", "seconds"}
