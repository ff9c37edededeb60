"""What runs at each point: it is noted when it is reached first, and at the one that is chosen the process ends."""

import os
from collections import Counter
from typing import Any

#: How a process ends at a point: no line of it runs any more, and nothing is said to anybody.
CRASHED = 99
AT = os.environ.get("CRASH_AT", "")
VISIT = int(os.environ.get("CRASH_VISIT", "1"))
#: So many visits of each point are noted.
NOTED = 3
SEEN = os.open(os.environ.get("CRASH_SEEN", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

visits: Counter[str] = Counter()


def reached(point: str) -> None:
    """Note the first visits of the point, or end here."""
    visits[point] += 1
    if visits[point] <= NOTED:
        os.write(SEEN, f"{point}\n".encode())
    if point == AT and visits[point] == VISIT:
        os._exit(CRASHED)


async def crash_at(name: str, awaited: Any) -> Any:
    """What is awaited, between its two points."""
    reached(f"{name} | before")
    found = await awaited
    reached(f"{name} | after")
    return found


class CrashAround:
    """An `async with` whose entering and leaving are awaits."""

    def __init__(self, name: str, inner: Any) -> None:
        self._name, self._inner = name, inner

    async def __aenter__(self) -> Any:
        return await crash_at(f"{self._name} enter", self._inner.__aenter__())

    async def __aexit__(self, *fault: Any) -> Any:
        return await crash_at(f"{self._name} exit", self._inner.__aexit__(*fault))


class CrashEach:
    """An `async for` each of whose steps is an await."""

    def __init__(self, name: str, inner: Any) -> None:
        self._name, self._inner = name, aiter(inner)

    def __aiter__(self) -> "CrashEach":
        return self

    async def __anext__(self) -> Any:
        return await crash_at(self._name, anext(self._inner))
