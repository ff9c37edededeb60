"""How commands that run the whole platform end: Ctrl-C, `kill` and a closed terminal mean the same."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interruptible() -> None:
    """From now on each of the signals raises KeyboardInterrupt."""
    for number in STOPPING:
        signal.signal(number, _interrupt)


@contextmanager
def stopping_undisturbed() -> Iterator[None]:
    """On the way out a second Ctrl-C does not leave half of the servers behind."""
    try:
        yield
    finally:
        undisturbed()


def undisturbed() -> None:
    """From now on none of the signals does anything."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
