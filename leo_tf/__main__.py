"""The `leo-tf` command: a group of subcommands, each of which is imported only when it is called."""

import importlib
import sys

_SUBCOMMANDS = {
    "train": ("leo_tf.commands.main:train_main", "meta-train a model"),
    "evaluate": ("leo_tf.commands.main:evaluate_main", "evaluate a run on tasks of new classes"),
    "predict": ("leo_tf.predict.__main__:main", "classify images from a few examples per class"),
    "search": ("leo_tf.search.__main__:main", "search for hyperparameters"),
    "analyze": ("leo_tf.analysis.__main__:main", "report on a run's latent space, adaptation and failures"),
    "reproduce": ("leo_tf.reproduce.__main__:main", "reproduce the paper's tables"),
    "export": ("leo_tf.export.__main__:main", "export a run as a SavedModel"),
    "pretrain": ("leo_tf.features.pretrain.__main__:main", "pre-train a feature extractor on images"),
    "extract": ("leo_tf.features.extract.__main__:main", "turn images into embeddings to train on"),
}
_USAGE_ERROR = 2


def main() -> None:
    """Run the subcommand that the command line names, or list the subcommands."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("--help", "-h", "help"):
        print(_help())
    elif name == "--version":
        from leo_tf import __version__

        print(f"leo-tf {__version__}")
    elif name in _SUBCOMMANDS:
        sys.argv = [f"leo-tf {name}", *arguments]
        module, _, function = _SUBCOMMANDS[name][0].partition(":")
        getattr(importlib.import_module(module), function)()
    else:
        print(f"Error: Unknown subcommand {name[:80]!r}; expected one of {', '.join(_SUBCOMMANDS)}.", file=sys.stderr)
        sys.exit(_USAGE_ERROR)


def _help() -> str:
    subcommands = "\n".join(f"  {name:<11}{about}" for name, (_, about) in _SUBCOMMANDS.items())
    return (
        "Few-shot learning with Latent Embedding Optimization (LEO) in TensorFlow.\n\n"
        "Usage:    leo-tf SUBCOMMAND [--name=value ...]\n"
        "Example:  leo-tf train --dataset_name=glyphs --checkpoint_path=runs/glyphs\n\n"
        f"{subcommands}\n\nleo-tf SUBCOMMAND --help lists the flags of a subcommand."
    )


if __name__ == "__main__":
    main()
