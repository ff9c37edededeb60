"""Commands that this process has published and no lane has decided yet: beyond a bound, no more are taken.

The topic takes commands faster than lanes decide them, so without a bound the time to an answer would grow for as long
as too many come. The bound holds for each partition by itself: a lane that is slow, or stands still, makes its own
companies wait, and no others.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence

from api.problems import overloaded
from topics.catalogue import partition_of
from topics.messages import CommandMessage
from topics.metrics import API_IN_FLIGHT, API_PUBLISHES
from topics.settings import Settings

RETRY_SECONDS = 1
#: After this a command is counted no more: it was set aside without an outcome, or its lane is away for long.
LONGEST_SECONDS = 60.0


class InFlight:
    """Counts by partition; `enter` before publishing, `leave` at the outcome or where nothing was published."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is in flight yet."""
        self._most = settings.most_in_flight
        self._partitions = settings.partitions
        self._clock = clock
        self._counts: Counter[int] = Counter()
        #: By command id in the order of publishing: the partition, and when.
        self._entered: dict[bytes, tuple[int, float]] = {}

    def enter(self, commands: Sequence[CommandMessage]) -> None:
        """Count all commands of a request, or raise the problem `overloaded` and count none."""
        self._forget_old()
        partitions = [partition_of(command.company_id.encode(), self._partitions) for command in commands]
        for partition in set(partitions):
            if self._counts[partition] >= self._most:
                API_PUBLISHES.labels("overloaded").inc()
                raise overloaded(
                    f"{self._counts[partition]:,} commands wait for the decisions of partition {partition}.",
                    headers={"Retry-After": str(RETRY_SECONDS)},
                )
        for command, partition in zip(commands, partitions, strict=True):
            self.leave(command.id.encode())
            self._entered[command.id.encode()] = partition, self._clock()
            self._counts[partition] += 1
        self._show()

    def leave(self, command_id: bytes) -> None:
        """The command is decided, or was not published."""
        if (found := self._entered.pop(command_id, None)) is not None:
            self._counts[found[0]] -= 1
            self._show()

    def _forget_old(self) -> None:
        before = self._clock() - LONGEST_SECONDS
        while self._entered and (first := next(iter(self._entered.items())))[1][1] < before:
            self.leave(first[0])

    def _show(self) -> None:
        API_IN_FLIGHT.set(len(self._entered))
