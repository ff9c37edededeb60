"""Breadth-first exploration of all states of a small model: every interleaving, the shortest way to what is wrong."""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

S = TypeVar("S", bound=Hashable)


class Step(NamedTuple, Generic[S]):
    """One action: what it is called, the state after it, and what it broke, if anything."""

    name: str
    after: S
    broke: str = ""


@dataclass
class Explored(Generic[S]):
    """What was found: `violations` has the shortest trace of each; `stuck` is a trace to a state from which no good
    end can be reached any more; `complete` says whether all states were seen, `taken` which steps there were."""

    states: int = 0
    complete: bool = True
    taken: set[str] = field(default_factory=set)
    violations: dict[str, list[str]] = field(default_factory=dict)
    stuck: list[str] | None = None

    @property
    def holds(self) -> bool:
        return not self.violations and self.stuck is None

    def __str__(self) -> str:
        traces = [f"{name}:\n  " + "\n  ".join(trace) for name, trace in self.violations.items()]
        stuck = ["no good end can be reached:\n  " + "\n  ".join(self.stuck)] if self.stuck is not None else []
        return "\n".join([f"{self.states} states, {'all' if self.complete else 'cut off'}", *traces, *stuck])


def explore(
    initial: S,
    steps: Callable[[S], Iterator[Step[S]]],
    wrong: Callable[[S], Iterator[str]],
    good_end: Callable[[S], bool],
    most: int = 1_000_000,
) -> Explored[S]:
    """Visit states in the order of their distance, `most` of them, and stop at the first that is wrong.

    Where all were visited and none is wrong, look also whether each can still reach a good end."""
    found, order, ways = Explored[S](), [initial], [(-1, "")]
    known = {initial: 0}
    before: list[list[int]] = [[]]
    for at, state in enumerate(order):  # grows while it is walked through
        for name in wrong(state):
            found.violations.setdefault(name, _trace(ways, at))
        if found.violations:
            break
        for step in steps(state):
            found.taken.add(step.name)
            if step.broke:
                found.violations.setdefault(step.broke, [*_trace(ways, at), step.name])
            index = known.get(step.after)
            if index is None:
                if len(order) >= most:
                    found.complete = False
                    continue
                index = known[step.after] = len(order)
                order.append(step.after)
                ways.append((at, step.name))
                before.append([])
            before[index].append(at)
    found.states = len(order)
    if found.complete and not found.violations:
        found.stuck = _stuck(order, before, ways, good_end)
    return found


def _trace(ways: list[tuple[int, str]], at: int) -> list[str]:
    names: list[str] = []
    while at > 0:
        at, name = ways[at]
        names.append(name)
    return names[::-1]


def _stuck(
    order: list[S], before: list[list[int]], ways: list[tuple[int, str]], good_end: Callable[[S], bool]
) -> list[str] | None:
    reaching = [index for index, state in enumerate(order) if good_end(state)]
    fine = set(reaching)
    while reaching:
        for index in before[reaching.pop()]:
            if index not in fine:
                fine.add(index)
                reaching.append(index)
    first = next((index for index in range(len(order)) if index not in fine), None)
    return None if first is None else _trace(ways, first)
