"""Something that goes on in a thread of its own while a `with` block runs."""

import threading
from types import TracebackType
from typing import Self


class Background:
    """`run` is called in the thread, and returns soon after `ending` is set."""

    def __init__(self, name: str) -> None:
        """Nothing goes on yet."""
        self.ending = threading.Event()
        self._thread = threading.Thread(target=self.run, name=name, daemon=True)

    def run(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.ending.set()
        self._thread.join()
