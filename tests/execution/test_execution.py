"""Jobs run, fail, die, stop and go on; nobody trains for a dead parent."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from quick_jobs import calls

from leo_tf import InputError
from leo_tf.execution import Execution, executor_of, run_jobs, work, worker


def run(jobs, at_once=2, log=lambda line: None):
    with executor_of(Execution(jobs=at_once)) as executor:
        return run_jobs(jobs, executor, log=log)


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("script", ["train.py", "evaluate.py", "-m leo_tf.reproduce.classical"])
def test_commands_are_where_the_worker_looks_for_them(script):
    assert callable(worker.main_of(script))


def test_a_failed_job_says_why_and_the_others_go_on(job_of):
    said, jobs = [], [job_of("a", "fail", "ok"), job_of("b", "ok", "ok")]
    statuses = run(jobs, log=said.append)
    assert [status["ok"] for status in statuses.values()] == [False, True]
    assert statuses["a"]["reason"] == "Error: nothing there"
    assert calls(jobs[0]) == 1 and calls(jobs[1]) == 2
    assert any(line.startswith("a: FAILED: Error: nothing there after ") for line in said)
    assert said[-1].endswith("2 of 2 jobs, about 0:00 left")


def test_what_is_finished_is_not_done_again_and_what_failed_is(job_of):
    jobs = [job_of("a", "fail"), job_of("b", "ok")]
    run(jobs)
    run(jobs)
    assert [calls(job) for job in jobs] == [2, 1]
    jobs[1].status_file.write_text("{")  # damaged
    run(jobs)
    assert calls(jobs[1]) == 2
    (jobs[1].folder / "result").unlink()
    run(jobs)
    assert calls(jobs[1]) == 3
    run([job_of("b", "ok", "ok")])  # other commands
    assert calls(jobs[1]) == 5


def test_a_command_that_is_killed_is_started_again_but_not_for_ever(job_of):
    once, ever = job_of("once", "die once"), job_of("ever", "die")
    statuses = run([once, ever])
    assert statuses["once"]["ok"] and calls(once) == 2
    assert statuses["ever"]["reason"].startswith("killed by signal 9, 3 times") and calls(ever) == 3


def test_a_stopped_job_saves_and_leaves_no_status(job_of):
    job = job_of("a", "wait", "ok")
    with executor_of(Execution()) as executor:
        future = executor.submit(job)
        wait_for((job.folder / "waits").exists)
        executor.stop(job)
        status = future.result(30)
    assert not status["ok"] and status["stopped"]
    assert (job.folder / "saved").exists() and not job.status_file.exists() and calls(job) == 1


def test_what_still_runs_at_the_end_is_stopped(job_of):
    running, queued = job_of("a", "wait"), job_of("b", "ok")
    with pytest.raises(KeyboardInterrupt), executor_of(Execution(jobs=1)) as executor:
        executor.submit(running)
        executor.submit(queued)
        wait_for((running.folder / "waits").exists)
        raise KeyboardInterrupt
    assert (running.folder / "saved").exists() and not queued.folder.exists()


PARENT = """
import sys, pathlib
from leo_tf.execution import Execution, Job, executor_of, run_jobs
folder = pathlib.Path(sys.argv[1])
job = Job("a", folder, (("-m task", (sys.argv[2], str(folder))),), folder / "result")
with executor_of(Execution()) as executor:
    run_jobs([job], executor)
"""


def test_a_job_saves_and_ends_when_its_parent_is_killed_and_the_next_start_waits_for_it(job_of):
    job = job_of("a", "wait")
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(job.folder), "wait"])
    try:
        wait_for((job.folder / "waits").exists)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    statuses = run([job_of("a", "ok")])  # at once: it has to wait for the lock
    assert statuses["a"]["ok"] and (job.folder / "saved").exists()


def test_a_job_that_cannot_be_written_stops_those_that_wait(job_of):
    jobs = [job_of(str(number), "ok") for number in range(9)]
    jobs[0].folder.parent.mkdir(parents=True)
    jobs[0].folder.touch()
    with pytest.raises(InputError, match=f"Cannot write {jobs[0].folder} "):
        run(jobs, at_once=1)
    assert not jobs[-1].folder.exists()


def test_threads_are_shared_among_the_jobs(job_of, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert Execution(jobs=3).threads == 2 and Execution(jobs=9).threads == 1
    job = job_of("a", "threads")
    with executor_of(Execution(threads_per_job=3)) as executor:
        run_jobs([job], executor, log=print)
    assert (job.folder / "threads").read_text() == "3"
    assert work._threads(0) == {}


@pytest.mark.parametrize(
    "wrong",
    [{"jobs": 0}, {"threads_per_job": -1}, {"executor": "slurm"}, {"gpus_per_job": -1.0}, {"ray_address": "auto"}],
)
def test_an_execution_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(InputError, match=r"was given[; ]"):
        Execution(**wrong)


class Terminal:
    """A stderr that says it is one."""

    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_the_view_shows_steps_and_the_best_validation(job_of, monkeypatch, tmp_path):
    from leo_tf import RunConfig
    from leo_tf.execution import Job, View

    run_folder = tmp_path / "run"
    run_folder.mkdir()
    job = Job("trial-1", tmp_path / "job", (), run=run_folder)
    shown = dict(measure="accuracy", text="{:.1%}".format)
    screen, said = Terminal(), []
    monkeypatch.setattr(sys, "stderr", screen)
    with View(4, 1, "trial", log=said.append, **shown) as view:
        view.started(job)
        view.refresh()
        assert "starting" in screen.text
        (run_folder / "config.json").write_text(RunConfig().to_json())
        (run_folder / "metrics.csv").write_text("step,validation_accuracy\n50,\n100,0.5\n200,0.625\n300,0.1")
        view.refresh()
        assert "best 62.5%" in screen.text and "200/100000" in screen.text  # the last row is not whole yet
        view.ended(job, "done")
    assert said and said[0].startswith("trial-1: done after 0 s; 2 of 4 trials, about ")
    monkeypatch.undo()
    monkeypatch.setattr("leo_tf.execution.progress_display._SECONDS_BETWEEN", 0.0)
    with contextlib.redirect_stderr(sys.__stdout__), View(4, 1, "trial", log=said.append, **shown) as view:
        view._terminal = False
        view.started(job)
        view.refresh()
    assert said[-1] == "running: trial-1 step 200 of 100000, best 62.5%; 3 left"


def test_a_status_is_json_that_a_person_can_read(job_of):
    job = job_of("a", "ok")
    run([job])
    assert json.loads(job.status_file.read_text()).keys() == {"ok", "stopped", "commands", "seconds"}
