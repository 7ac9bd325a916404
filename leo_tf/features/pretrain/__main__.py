"""Pre-train a feature extractor: python -m leo_tf.features.pretrain --images=DIR --checkpoint_path=RUN"""

from typing import Any

from absl import flags

from leo_tf.commands.flags import define_section_flags, section_of
from leo_tf.commands.main import Command, run_command
from leo_tf.commands.train import run_trainer
from leo_tf.commands.workers import define_worker_flags, run_work
from leo_tf.features.settings import SECTIONS, PretrainConfig
from leo_tf.runs.run_dir import RunDirectory


def main() -> None:
    flags.DEFINE_string("checkpoint_path", "runs/features", "folder of the run", module_name="Run")
    define_section_flags(SECTIONS.values(), flags.FLAGS)
    define_worker_flags()
    about = (
        "Train a wide residual network to classify the meta-training classes of a folder of images; extract then takes "
        "features from it. Rerun the command to resume a run that was stopped."
    )
    usage = "python -m leo_tf.features.pretrain"
    run_command(_pretrain, Command(about, usage, f"{usage} --images=photos --checkpoint_path=runs/features"))


def _pretrain() -> int:
    values = flags.FLAGS
    config = PretrainConfig(**{name: section_of(kind, values) for name, kind in SECTIONS.items()})
    path = values.checkpoint_path

    def refuse_early() -> None:
        RunDirectory(path, PretrainConfig).refuse_other(config)

    def make_work(collectives: Any) -> Any:
        from leo_tf.features.pretrain.work import Pretraining

        return Pretraining(config, collectives)

    def train(work: Any) -> int:
        lines = [f"{work.summary()}.", f"Computing on {work.devices()}."]
        return run_trainer(work, path, lines, _closing_message)

    return run_work(config, values, refuse_early, make_work, train)


def _closing_message(trainer: Any, steps: int) -> str:
    work, (best, best_step) = trainer.work, trainer.checkpoints.best
    return (
        f"{'Trained' if steps else 'Nothing to do: already trained'} {trainer.checkpoints.step} steps in "
        f"{trainer.folder.path}; best {work.measured.measure} {work.measured.text(best)} at step {best_step}."
        f"\nNext: python -m leo_tf.features.extract --extractor={trainer.folder.path} "
        f"--images={work.config.images.images} --output=data/NAME"
    )


if __name__ == "__main__":
    main()
