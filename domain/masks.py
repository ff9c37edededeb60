"""How a company writes its asset tags: a mask of characters. A regular expression of theirs could hang a lane.

Ours repeats nothing, so it looks at each character once.
"""

import re
from functools import lru_cache
from typing import Annotated

from pydantic import Field, StringConstraints

DEFAULT_MASK = "EQ-9999-AA-999999"

SerialMask = Annotated[
    str,
    StringConstraints(min_length=3, max_length=40, pattern=r"^[A-Z0-9][A-Z0-9._-]*$"),
    Field(description="`9` stands for a digit, `A` for a letter, all else for itself", examples=[DEFAULT_MASK]),
]

_CLASSES = {"9": "[0-9]", "A": "[A-Z]"}


def follows(mask: str, number: str) -> bool:
    """Whether a serial number is written as the mask says."""
    return _pattern(mask).fullmatch(number) is not None


@lru_cache(maxsize=1_000)
def _pattern(mask: str) -> re.Pattern[str]:
    return re.compile("".join(_CLASSES.get(wanted, re.escape(wanted)) for wanted in mask))
