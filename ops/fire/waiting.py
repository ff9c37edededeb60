"""Waiting for a fact, with a deadline."""

import time
from collections.abc import Callable

from ops.errors import Fault

LOOK_SECONDS = 0.1


class TooLate(Fault):
    """What ought to have become so has not."""


def until(fact: Callable[[], bool], seconds: float, what: str) -> None:
    """Return as soon as the fact holds. Raises TooLate."""
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            raise TooLate(f"still not so after {seconds:.0f} s: {what}")
        time.sleep(LOOK_SECONDS)
