"""The flagfiles and search spaces that come with leo_tf."""

from pathlib import Path


def shipped_configs() -> Path:
    """Return the folder configs/: inside an installed package, beside the package in a clone."""
    package = Path(__file__).parents[1]
    packaged = package / "configs"  # put there by setup.py
    return packaged if packaged.is_dir() else package.with_name("configs")
