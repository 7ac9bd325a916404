"""An executor that trains nothing and writes the metrics that runs would have written."""

from concurrent.futures import Future

from leo_tf import RunConfig
from leo_tf.config import TrainingConfig


class FakeExecutor:
    """Executor that writes the metrics of a run immediately.

    Args:
      curve: function from the flags of a run, {name: text}, to its validation accuracies or the reason why it fails.
    """

    def __init__(self, curve, capacity=2):
        self.capacity, self._curve, self.submitted, self.stopped = capacity, curve, [], []

    def submit(self, job):
        self.submitted.append(job)
        flags = dict(flag.removeprefix("--").split("=", 1) for flag in job.commands[0][1])
        found, future = self._curve(flags), Future()
        job.run.mkdir(parents=True, exist_ok=True)
        job.folder.mkdir(parents=True, exist_ok=True)
        if not isinstance(found, str):
            config = RunConfig(training=TrainingConfig(num_steps_limit=300))
            (job.run / "config.json").write_text(config.to_json())
            (job.run / "data.json").write_text('{"train_digest": "abc"}')
            rows = [f"{100 * (place + 1)},{value}\n" for place, value in enumerate(found)]
            (job.run / "metrics.csv").write_text("step,validation_accuracy\n" + "".join(rows))
        reason = found if isinstance(found, str) else ""
        future.set_result({"ok": not reason, "stopped": False, "reason": reason, "commands": "", "seconds": 0.0})
        return future

    def stop(self, job):
        self.stopped.append(job.name)
