"""The folder of a run: its configuration, checkpoints and logs, and how to get the trained model back."""

import json
from pathlib import Path

from leo_tf.config import RunConfig
from leo_tf.errors import InputError
from leo_tf.files.atomic import replace_file


class RunFolder:
    """Paths and small files of a run.

    config.json the resolved configuration; data.json what was trained on; latest/ the checkpoint to continue
    from; best/ the one with the best validation; metrics.csv; tensorboard/; evaluation-*.json, .npz, .png;
    lock, held by the process that trains.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.config_file = self.path / "config.json"
        self.data_file = self.path / "data.json"
        self.metrics_file = self.path / "metrics.csv"
        self.latest = self.path / "latest"
        self.best = self.path / "best"
        self.tensorboard = self.path / "tensorboard"

    def refuse_other(self, config):
        """Raise if the folder holds a run of another configuration; quick, before anything is loaded.

        Raises:
          InputError: names the fields that differ.
        """
        if self.config_file.exists():
            self._refuse(self.config().differences(config))

    def claim(self, config, data):
        """Make the folder this run's, or check that it already is.

        Args:
          config: RunConfig.
          data: what is trained on, a dict that goes to JSON.

        Raises:
          InputError: the folder cannot be written, or belongs to a run of another configuration or on other data.
        """
        self.refuse_other(config)
        if self.data_file.exists():
            before = self.data()
            self._refuse([f"data: {k} {before.get(k)!r} != {v!r}" for k, v in data.items() if before.get(k) != v])
        try:
            for file, text in {
                self.data_file: json.dumps(data, indent=2) + "\n",
                self.config_file: config.to_json(),
            }.items():
                with replace_file(file) as output:
                    output.write(text.encode())
        except OSError as error:
            raise InputError(
                f"Cannot write the run folder {self.path} ({error.strerror}); "
                "give a --checkpoint_path that can be written."
            ) from None

    def config(self):
        """Return the run's RunConfig.

        Raises:
          InputError: there is no run in the folder.
        """
        try:
            text = self.config_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise InputError(
                f"No run in {self.path}: {self.config_file} cannot be read; expected the --checkpoint_path of a run "
                "started with train.py."
            ) from None
        return RunConfig.from_json(text)

    def _refuse(self, differing):
        if differing:
            raise InputError(
                f"{self.path} holds a run made otherwise (its value != the one given): {'; '.join(differing)}. "
                "Give the same flags to continue it, or another --checkpoint_path."
            )

    def data(self):
        """Return what the run was trained on: for classification, embedding_dim, train_digest, validation_digest.

        Raises:
          InputError: the file is missing or damaged.
        """
        try:
            data = json.loads(self.data_file.read_text(encoding="utf-8"))
            if not isinstance(data, dict):
                raise TypeError
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(
                f"{self.data_file} is missing or damaged; expected what train.py wrote there. Put it back from a copy, "
                "or train again in another --checkpoint_path."
            ) from None
        return data

    def lock(self):
        """Keep other processes from training in this folder until the returned file is closed or the process ends.

        Raises:
          InputError: another process trains here.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        file = (self.path / "lock").open("wb")
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise InputError(
                f"Another process is training in {self.path}; wait for it, or give another --checkpoint_path."
            ) from None
        except (ImportError, OSError):  # no such locks on this system or disk
            pass
        return file

    def best_checkpoint(self):
        """Return the path of the best checkpoint, as TensorFlow names it.

        Raises:
          InputError: there is no run in the folder, or no checkpoint yet.
        """
        import tensorflow as tf

        config, checkpoint = self.config(), tf.train.latest_checkpoint(self.best)
        if checkpoint is None:
            raise InputError(
                f"The run in {self.path} has no best checkpoint yet; it gets one at its first validation, after "
                f"{config.training.checkpoint_steps} steps. Continue the run with train.py."
            )
        return checkpoint

    def best_step(self):
        """Return the meta-training steps of the best checkpoint; raises as `best_checkpoint`."""
        return int(self.best_checkpoint().rpartition("-")[2])
