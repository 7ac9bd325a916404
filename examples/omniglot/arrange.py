"""Arrange alphabets for leo_tf: python arrange.py BACKGROUND OUTPUT [TEST]

OUTPUT/train and OUTPUT/val get links to the alphabets of BACKGROUND: the smallest one with at least 20 characters is
held out for validation. OUTPUT/test gets links to those alphabets of TEST that are not in BACKGROUND.
"""

import sys
from pathlib import Path

WAYS = 20


def alphabets(folder: Path) -> dict[str, int]:
    """Return {name: number of characters} of the alphabets in a folder; a character is a folder with .png files."""
    found = {}
    for alphabet in sorted(path for path in folder.iterdir() if path.is_dir()):
        characters = [path for path in alphabet.iterdir() if path.is_dir() and any(path.glob("*.png"))]
        if characters:
            found[alphabet.name] = len(characters)
    return found


def held_out(sizes: dict[str, int]) -> str:
    """Return the alphabet for validation: the smallest one large enough for 20-way tasks, otherwise the largest."""
    large = [name for name, size in sizes.items() if size >= WAYS]
    return min(large, key=sizes.__getitem__) if large else max(sizes, key=sizes.__getitem__)


def arrange(background: Path, output: Path, test: Path | None = None) -> dict[str, list[str]]:
    """Make the links; return {split: names}."""
    sizes = alphabets(background)
    if len(sizes) < 2:
        found = f"{background} has {len(sizes)} alphabet{'s' * (len(sizes) != 1)}"
        sys.exit(f"Error: {found}; expected folders alphabet/character/*.png, at least 2 alphabets.")
    validation = held_out(sizes)
    chosen = {"train": [(background, name) for name in sizes if name != validation], "val": [(background, validation)]}
    if test is not None:
        chosen["test"] = [(test, name) for name in alphabets(test) if name not in sizes]
        if not chosen["test"]:
            sys.exit(f"Error: all alphabets of {test} are also in {background}; expected others to test on.")
    for split, places in chosen.items():
        (output / split).mkdir(parents=True, exist_ok=True)
        for folder, name in places:
            link = output / split / name
            if not link.is_symlink():
                link.symlink_to((folder / name).resolve(), target_is_directory=True)
    return {split: [name for _, name in places] for split, places in chosen.items()}


if __name__ == "__main__":
    for split, names in arrange(*map(Path, sys.argv[1:])).items():
        print(f"{split}: {', '.join(names)}")
