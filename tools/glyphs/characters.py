"""Which characters are classes, and which script belongs to which meta-split.

Splits are by script, as Omniglot is split by alphabet: a model that has seen Latin and Cyrillic letters meets Armenian
for the first time in meta-test.
"""

import unicodedata
from typing import NamedTuple

import fonts
from lookalikes import without_lookalikes

# First word of the Unicode name -> script. Within a split, an earlier script wins over its look-alikes in a later one.
_SCRIPTS = {
    "train": {
        "LATIN": "latin",
        "DIGIT": "digits",
        "GREEK": "greek",
        "CYRILLIC": "cyrillic",
        "COPTIC": "coptic",
        "OLD": "old-italic",
        "LISU": "lisu",
        "ARABIC": "arabic",
        "ARABIC-INDIC": "arabic",
        "EXTENDED": "arabic",
        "TIFINAGH": "tifinagh",
        "CANADIAN": "canadian-syllabics",
    },
    "val": {"HEBREW": "hebrew", "LAO": "lao", "NKO": "nko"},
    "test": {"ARMENIAN": "armenian", "GEORGIAN": "georgian"},
}
SPLITS = tuple(_SCRIPTS)

_SMALLEST = 0.25  # of an em: below it a letter is a dot or a tick, which scaled up is a blot


class Character(NamedTuple):
    """One class of the data set."""

    split: str
    script: str
    code_point: int

    @property
    def label(self) -> str:
        """Return the class name, such as `armenian/U+0531 ARMENIAN CAPITAL LETTER AYB`."""
        return f"{self.script}/U+{self.code_point:04X} {unicodedata.name(chr(self.code_point))}"


def _is_base_letter(code_point: int) -> bool:
    """Say whether the character is a letter or digit of its own, not one composed of others or a combining mark."""
    character = chr(code_point)
    is_letter = unicodedata.category(character) in ("Lu", "Ll", "Lo", "Nd")
    return is_letter and not unicodedata.decomposition(character)


def candidates() -> list[Character]:
    """List every base letter the canonical face draws in our scripts, in order of preference."""
    found = []
    for split, scripts in _SCRIPTS.items():
        rank = {word: position for position, word in enumerate(scripts)}
        letters = []
        for code_point in sorted(fonts.characters_of(fonts.CANONICAL_FACE)):
            word = unicodedata.name(chr(code_point), "").partition(" ")[0]
            if word in scripts and _is_base_letter(code_point):
                letters.append((rank[word], Character(split, scripts[word], code_point)))
        found += [character for _, character in sorted(letters)]
    return found


def select() -> list[Character]:
    """List the classes of the data set: candidates drawn large enough, no two alike, in order of train, val, test."""
    drawn = [(c, fonts.master(c.code_point, fonts.CANONICAL_FACE)) for c in candidates()]
    large = [(c, shape) for c, shape in drawn if max(shape.shape) >= _SMALLEST * fonts.MASTER_SIZE]
    return [large[position][0] for position in without_lookalikes([shape for _, shape in large])]
