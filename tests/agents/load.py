"""Commands at a steady rate beside a test."""

from collections.abc import Iterator
from random import Random
from threading import Thread

from tests.agents.story import story
from tests.agents.upstream import Upstream, until
from topics.cloudevents import Record


class Load:
    """Commands of a story at a steady rate, beside the test, until it says enough."""

    def __init__(self, sender: Upstream, seed: int, rate: float = 300) -> None:
        settings = sender.settings
        self._records = story(Random(seed), 10**9, settings.prefix, settings.partitions)
        self._more = True
        self.sent = 0
        self._sender, self._rate = sender, rate
        self._thread = Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self) -> None:
        self._sender.send(self._paced(), self._rate)

    def _paced(self) -> Iterator[Record]:
        while self._more:
            self.sent += 1
            yield next(self._records)

    def beyond(self, commands: int) -> None:
        """Wait until so many more commands have been sent."""
        goal = self.sent + commands
        until(lambda: self.sent >= goal, what=f"{goal} commands sent")

    def enough(self) -> None:
        self._more = False
        self._thread.join()
