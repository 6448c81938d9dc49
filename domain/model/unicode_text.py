"""Properties of characters that Python's `unicodedata` lacks, for text that people enter."""

import unicodedata

# Default_Ignorable_Code_Point, from Unicode's DerivedCoreProperties.txt: shown as nothing where
# they have no effect on others. It has code points for future use too, so it hardly ever changes.
_DEFAULT_IGNORABLE_RANGES = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip  # as a table
# Blank, but by their category symbols, letters or marks: of Braille, musical notation, the Khitan
# small script and Egyptian hieroglyphs.
_BLANK = {0x2800, 0x1D159, 0x16FE4, 0x13441, 0x13442}
_INVISIBLE = frozenset(_BLANK).union(*(range(a, b + 1) for a, b in _DEFAULT_IGNORABLE_RANGES))
_INVISIBLE_CATEGORIES = {"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"}
# Python's white space, zero-width spaces, and directional marks, which are often copied along.
_MARGIN = "".join(c for c in map(chr, range(0x3001)) if c.isspace()) + (
    "\u200b\u2060\ufeff\u061c\u200e\u200f"
)


def is_visible(character: str) -> bool:
    """Returns whether a character is seen by itself; white space is not."""
    if ord(character) in _INVISIBLE:
        return False
    return unicodedata.category(character) not in _INVISIBLE_CATEGORIES


def is_noncharacter(character: str) -> bool:
    """Returns whether it is one of the 66 code points that never stand for a character."""
    code_point = ord(character)
    return code_point & 0xFFFE == 0xFFFE or 0xFDD0 <= code_point <= 0xFDEF


def trim(text: str) -> str:
    """Removes spaces and marks without width from both ends.

    Joiners and variation selectors stay: they belong to the character before them.
    """
    return text.strip(_MARGIN)
