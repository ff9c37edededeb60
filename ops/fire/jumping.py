"""A clock that jumps: a process that is told so believes in another time of day. How long things take stays as it is,
as where an administrator or NTP sets the clock."""

import signal
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from itertools import cycle
from typing import Any

#: What tells a process that its clock jumps, and where to, one after the other: ahead, behind, and back.
JUMP = signal.SIGUSR2
JUMPS = (timedelta(days=2), timedelta(days=-4), timedelta(days=2))


def can_jump() -> bool:
    """Whether the library that does it is installed: it comes with the tests."""
    return find_spec("time_machine") is not None


def jump_when_told() -> None:
    """From now on the signal makes this process's clock jump."""
    if not can_jump():
        return
    import time_machine

    clock = time_machine.travel(datetime.now(UTC), tick=True).start()
    jumps = cycle(JUMPS)

    def jump(*_: Any) -> None:
        clock.shift(next(jumps))

    signal.signal(JUMP, jump)
