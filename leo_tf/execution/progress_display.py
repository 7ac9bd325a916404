"""What a person sees of jobs while they run: in a terminal a line for each, elsewhere a line now and then."""

import sys
import time

from tqdm import tqdm

from leo_tf.evaluation.progress import time_text
from leo_tf.runs.metrics import Progress, progress_of

_SECONDS_BETWEEN = 60.0  # of lines that are not in a terminal


class View:
    """Show how far jobs are.

    Args:
      total: number of jobs, those that are done included.
      done: of them.
      unit: what a job is: "trial".
      measure: of the validations, as "accuracy", or None for jobs without any.
      text: function from a value of it to a text.
      higher_is_better: of the measure.
      log: is called with a line for each job that ends.
    """

    def __init__(self, total, done=0, unit="job", measure=None, text=str, higher_is_better=True, log=print):
        self._total, self._unit, self._log = total, unit, log
        self._measure, self._text, self._higher = measure, text, higher_is_better
        self._start = self._said = time.perf_counter()
        self._done_before = self._done = done
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(total=total, initial=done, unit=unit, disable=not self._terminal, dynamic_ncols=True)
        self._bars, self._running, self._begun = {}, {}, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for bar in self._bars.values():
            bar.close()
        self._bar.close()

    def started(self, job):
        """Show a job that runs now."""
        self._running[job.name], self._begun[job.name] = job, time.perf_counter()
        if self._terminal:
            taken = {bar.pos for bar in self._bars.values()}  # tqdm counts positions downwards
            free = next(place for place in range(1, len(taken) + 2) if -place not in taken)
            about = {"position": free, "leave": False, "dynamic_ncols": True, "unit": "step"}
            self._bars[job.name] = tqdm(desc=job.name, **about)

    def ended(self, job, ending):
        """Say how a job ended, how many have, and how long the rest will take.

        Args:
          job: Job.
          ending: text.
        """
        self._running.pop(job.name, None)
        if bar := self._bars.pop(job.name, None):
            bar.close()
        self._done += 1
        self._bar.update()
        seconds = time.perf_counter() - self._begun.pop(job.name, self._start)
        self._say(
            f"{job.name}: {ending} after {seconds:.0f} s; {self._done} of {self._total} {self._unit}s, {self._left()}"
        )

    def refresh(self):
        """Show anew how far the running jobs are; cheap enough to call every second."""
        if self._terminal:
            for name, job in self._running.items():
                self._show(self._bars[name], self._progress(job))
        elif time.perf_counter() - self._said > _SECONDS_BETWEEN and self._running:
            states = (f"{job.name} {self._described(self._progress(job))}" for job in self._running.values())
            self._say(f"running: {'; '.join(states)}; {self._left()}")

    def _progress(self, job):
        return progress_of(job.run) if job.run and self._measure else Progress()

    def _show(self, bar, progress):
        if progress.last_step:
            bar.total = progress.last_step
            bar.update(progress.step - bar.n)
        bar.set_postfix_str(self._best(progress) if progress.step else "starting")

    def _described(self, progress):
        if not progress.step:
            return "starting"
        return f"step {progress.step} of {progress.last_step}, {self._best(progress)}"

    def _best(self, progress):
        best = progress.best(self._measure, self._higher)
        return f"best {self._text(best[1][self._measure])}" if best else "not validated yet"

    def _left(self):
        ended = self._done - self._done_before
        if not ended:
            return f"{self._total - self._done} left"
        rest = (time.perf_counter() - self._start) / ended * (self._total - self._done)
        return f"about {time_text(rest)} left"

    def _say(self, line):
        self._said = time.perf_counter()
        with tqdm.external_write_mode(file=sys.stderr):
            self._log(line)
