"""How a company writes its asset tags: a mask of characters, never a regular expression, which could hang a lane."""

from typing import Annotated

from pydantic import Field, StringConstraints

DEFAULT_MASK = "EQ-9999-AA-999999"

SerialMask = Annotated[
    str,
    StringConstraints(min_length=3, max_length=40, pattern=r"^[A-Z0-9][A-Z0-9._-]*$"),
    Field(description="`9` stands for a digit, `A` for a letter, all else for itself", examples=[DEFAULT_MASK]),
]

DIGITS, LETTERS = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CLASSES = {"9": DIGITS, "A": LETTERS}


def follows(mask: str, number: str) -> bool:
    """Whether a serial number is written as the mask says."""
    return len(number) == len(mask) and all(
        found in _CLASSES.get(wanted, wanted) for wanted, found in zip(mask, number, strict=True)
    )
