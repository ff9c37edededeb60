"""The lane's protocol as a model: what `agents/lane.py` does at each await, and nothing of what it decides.

One partition: its commands, its changelog, one topic of messages (events and outcomes alike) with one reader, and the
group's offset. Workers take the partition over, one after the other; a former owner may take any further step, at any
time or never, so a crash is a former owner that takes none, and whatever it had on its way lands late or is lost. Each
worker decides differently (its number stands in all it writes), so that every fork of the history can be seen.

What is left out: log truncation, size limits, sign-offs by generation and lease (correctness does not rest on them),
and a partition without any owner for a whole compaction lag (which the head's hash stops).

Three things keep the number of states small, and lose nothing:
- of a key's records only the last valid one matters, and the void ones behind it;
- whether a batch is valid needs no offsets: it is unless anybody has appended since its writer last read or wrote;
- a message that the reader has already, with the same content, may be sent or not: it is left out everywhere.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.model.explore import Step

#: How long a record of the changelog is safe from compaction, in the time between two looks of an owner at its end.
LAG = 2
PUBLISHES, HEALS, SERVES, VOID = "publishes", "heals", "serves", "void"


class Command(NamedTuple):
    """A command by its id, and the keys of the state that it changes; an id seen before changes nothing."""

    id: str
    keys: tuple[int, ...]


class Message(NamedTuple):
    """One record of the topic: what is said of which command, at which position, as decided by which worker."""

    position: int
    offset: int
    what: str
    author: int


class Head(NamedTuple):
    applied: int = -1
    position: int = 0
    outbox: tuple[Message, ...] = ()


#: State by key, the head last: what each command has left in the two aggregates, as (id, author).
Memory = tuple[Any, ...]
Batch = tuple[tuple[int, Any], ...]
HEAD = 2
EMPTY: Memory = ((), (), Head())


class Slot(NamedTuple):
    """What of a key's records in the changelog can still matter: the last valid value, the last void one behind it, and
    how soon compaction may keep the void one instead."""

    valid: Any
    void: Any = None
    safe: int = 0


class Worker(NamedTuple):
    """`fresh`: nobody else has appended since it read; `writing`: its batch on the way; `queue`: what it still has to
    publish, in order; `looked`: whether it has compared the changelog's end with its own since time last passed."""

    author: int
    owner: bool
    phase: str
    memory: Memory
    fresh: bool
    writing: Batch
    queue: tuple[Message, ...]
    looked: bool = True


UNWRITTEN = tuple(map(Slot, EMPTY))


class World(NamedTuple):
    log: tuple[Slot, ...] = UNWRITTEN
    read: tuple[Message, ...] = ()
    group: int = 0
    takeovers: int = 0
    workers: tuple[Worker, ...] = ()
    strays: tuple[tuple[Message, ...], ...] = ()


@dataclass(frozen=True)
class Protocol:
    """The protocol, and the faults that it could have."""

    commands: tuple[Command, ...]
    owners: int = 2
    group: int = 2
    last_record_wins: bool = False
    void_batch_counts: bool = False
    publishes_before_state: bool = False
    atomic: bool = True
    carries: bool = True
    republishes: bool = True
    awaits_republication: bool = True
    heals: bool = True
    looks: bool = True
    acknowledges_late: bool = True

    def steps(self, world: World) -> Iterator[Step[World]]:
        for action in (self.take_over, self.time_passes, self.compaction, self.stray_lands):
            yield from action(world)
        for index, worker in enumerate(world.workers):
            for name, after, broke in self._steps_of(world, index, worker):
                yield Step(f"{'owner' if worker.owner else 'former owner'} {worker.author} {name}", after, broke)

    def _steps_of(self, world: World, index: int, worker: Worker) -> Iterator[Step[World]]:
        for step in (self.publish, self.write, self.look, self.acknowledge, self.decide, self.take_over_again):
            yield from step(world, index, worker)

    # -- taking over ---------------------------------------------------------------------------------------------

    def take_over(self, world: World) -> Iterator[Step[World]]:
        """The group gives the partition to another worker; who had it before does not know."""
        if world.takeovers < self.owners:
            author = world.takeovers + 1
            former = tuple(worker._replace(owner=False) for worker in world.workers)
            after = world._replace(takeovers=author, workers=former)
            yield Step(f"worker {author} takes over", self._opened(after, len(former), author, True))

    def take_over_again(self, world: World, index: int, worker: Worker) -> Iterator[Step[World]]:
        """A batch of its own was void: it drops all it knows; what it was publishing may yet land."""
        if worker.phase == VOID:
            after = world._replace(strays=(*world.strays, worker.queue), workers=_without(world.workers, index))
            yield Step("takes over again", self._opened(after, index, worker.author, worker.owner))

    def _opened(self, world: World, index: int, author: int, owner: bool) -> World:
        """Read the changelog to its end, publish the head's outbox, await it, heal, serve."""
        memory = self.recovered(world)
        outbox, strays = memory[HEAD].outbox if self.republishes else (), world.strays
        if not self.awaits_republication:
            outbox, strays = (), (*strays, outbox)
        memory = (*memory[:HEAD], memory[HEAD]._replace(outbox=()))
        voided = [key for key, slot in enumerate(world.log) if slot.void is not None]
        healing = tuple((key, memory[key]) for key in sorted({*voided, HEAD})) if voided and self.heals else ()
        worker = Worker(author, owner, PUBLISHES, memory, True, healing, outbox)
        return _plain(world._replace(workers=_with(world.workers, index, worker), strays=strays))

    def recovered(self, world: World) -> Memory:
        """What whoever reads the changelog now takes for the state."""
        return tuple(slot.void if self.last_record_wins and slot.void is not None else slot.valid for slot in world.log)

    # -- serving -------------------------------------------------------------------------------------------------

    def decide(self, world: World, index: int, worker: Worker) -> Iterator[Step[World]]:
        """Decide the next commands, and send the state with the head as one batch. Its outbox holds this commit's
        messages and all that is not known to be published."""
        if worker.phase != SERVES or worker.writing:
            return
        first = worker.memory[HEAD].applied + 1
        for end in range(first + 1, min(first + self.group, len(self.commands)) + 1):
            memory, said = self.decided(worker.memory, range(first, end), worker.author)
            carried = worker.queue if self.carries else ()
            head = memory[HEAD]._replace(outbox=carried + said)
            changed = [(key, memory[key]) for key in range(HEAD) if memory[key] != worker.memory[key]]
            early = said if self.publishes_before_state else ()
            started = worker._replace(writing=(*changed, (HEAD, head)), queue=worker.queue + early)
            yield Step(f"decides {first} to {end - 1}", _changed(world, index, started))

    def decided(self, memory: Memory, offsets: range, author: int) -> tuple[Memory, tuple[Message, ...]]:
        """Pure, but for the author: an event for each aggregate that the command changes, then its outcome."""
        state, position, said = [list(values) for values in memory[:HEAD]], memory[HEAD].position, []
        for offset in offsets:
            command = self.commands[offset]
            repeat = any(id_ == command.id for id_, _ in state[command.keys[0]])
            for key in () if repeat else command.keys:
                state[key].append((command.id, author))
                said.append((offset, f"{command.id} changed {key}"))
            said.append((offset, f"{command.id} answered{' again' if repeat else ''}"))
        messages = tuple(Message(position + n, *what, author) for n, what in enumerate(said))
        return (*map(tuple, state), Head(offsets[-1], position + len(said))), messages

    def write(self, world: World, index: int, worker: Worker) -> Iterator[Step[World]]:
        """The batch lands as a whole and is acknowledged; memory changes only now, and only now publication starts."""
        if not worker.writing or worker.phase not in (HEALS, SERVES):
            return
        landing, rest = (worker.writing, ()) if self.atomic else (worker.writing[:1], worker.writing[1:])
        log = tuple(_appended(slot, dict(landing).get(key), worker.fresh) for key, slot in enumerate(world.log))
        others = tuple(other._replace(fresh=other is worker and worker.fresh) for other in world.workers)
        after = world._replace(log=log, workers=others)
        if not worker.fresh and not self.void_batch_counts:
            yield Step("writes, which is void", _changed(after, index, others[index]._replace(phase=VOID, writing=())))
        else:
            written = self._written(others[index], landing, rest)
            yield Step(f"writes {len(landing)} records", _changed(after, index, written))

    def _written(self, worker: Worker, landed: Batch, rest: Batch) -> Worker:
        memory = list(worker.memory)
        for key, value in landed:
            memory[key] = value
        head = memory[HEAD]
        own = tuple(message for message in head.outbox if message.offset > worker.memory[HEAD].applied)
        queue = worker.queue if self.publishes_before_state else worker.queue + own
        memory[HEAD] = head._replace(outbox=())
        return worker._replace(memory=tuple(memory), writing=rest, queue=queue, phase=worker.phase if rest else SERVES)

    def publish(self, world: World, index: int, worker: Worker) -> Iterator[Step[World]]:
        """The next message of the outbox lands; each only after the one before it."""
        if worker.queue:
            message, *rest = worker.queue
            after, broke = _delivered(_replaced(world, index, worker._replace(queue=tuple(rest))), message)
            yield Step(f"publishes {message.position}: {message.what}", after, broke)

    def acknowledge(self, world: World, index: int, worker: Worker) -> Iterator[Step[World]]:
        """Commands whose messages are published are acknowledged, in order; a former owner's word does not count."""
        done = worker.queue[0].offset if worker.queue and self.acknowledges_late else worker.memory[HEAD].applied + 1
        if worker.owner and worker.phase == SERVES and done > world.group:
            yield Step(f"acknowledges up to {done - 1}", _plain(world._replace(group=done)))

    def look(self, world: World, index: int, worker: Worker) -> Iterator[Step[World]]:
        """The owner compares the changelog's end with the one it expects."""
        if worker.owner and worker.phase == SERVES and not worker.writing and not worker.looked and self.looks:
            seen = worker._replace(looked=True) if worker.fresh else worker._replace(phase=VOID)
            yield Step("looks at the changelog's end", _changed(world, index, seen))

    # -- the world -----------------------------------------------------------------------------------------------

    def time_passes(self, world: World) -> Iterator[Step[World]]:
        """Half of the compaction lag. An owner has looked before, where owners look."""
        served = any(w.owner and w.phase == SERVES and (w.looked or not self.looks) for w in world.workers)
        if served and any(slot.safe for slot in world.log):
            log = tuple(slot._replace(safe=max(0, slot.safe - 1)) for slot in world.log)
            workers = tuple(worker._replace(looked=False) for worker in world.workers)
            yield Step("half a compaction lag passes", _plain(world._replace(log=log, workers=workers)))

    def compaction(self, world: World) -> Iterator[Step[World]]:
        """Kafka keeps the last record of a key, valid or not, once that is older than the lag."""
        for key, slot in enumerate(world.log):
            if slot.void is not None and not slot.safe and slot.valid != EMPTY[key]:
                log = (*world.log[:key], slot._replace(valid=EMPTY[key]), *world.log[key + 1 :])
                yield Step(f"compaction drops the valid record of key {key}", world._replace(log=log))

    def stray_lands(self, world: World) -> Iterator[Step[World]]:
        """A message that nobody waits for any more arrives after all."""
        for index, (message, *rest) in enumerate(world.strays):
            after = world._replace(strays=_with(_without(world.strays, index), index, tuple(rest)))
            yield Step(f"a stray lands, {message.position}: {message.what}", *_delivered(after, message))


def _appended(slot: Slot, value: Any, valid: bool) -> Slot:
    if value is None:
        return slot
    return Slot(value) if valid else slot._replace(void=value, safe=slot.safe if slot.void is not None else LAG)


def _delivered(world: World, message: Message) -> tuple[World, str]:
    """The reader takes the next position, ignores what it has, and stops at a gap."""
    if message.position == len(world.read):
        return _plain(world._replace(read=(*world.read, message))), ""
    gap = message.position > len(world.read)
    return _plain(world), "gap" if gap else "two contents of one position"


def _with(items: tuple[Any, ...], index: int, item: Any) -> tuple[Any, ...]:
    return (*items[:index], item, *items[index:])


def _without(items: tuple[Any, ...], index: int) -> tuple[Any, ...]:
    return (*items[:index], *items[index + 1 :])


def _replaced(world: World, index: int, worker: Worker) -> World:
    return world._replace(workers=_with(_without(world.workers, index), index, worker))


def _changed(world: World, index: int, worker: Worker) -> World:
    return _plain(_replaced(world, index, worker))


def _plain(world: World) -> World:
    """The same world in its shortest form: without what the reader has, and with steps taken that concern nobody."""
    read = world.read

    def unread(messages: tuple[Message, ...]) -> tuple[Message, ...]:
        return messages and tuple(m for m in messages if m.position >= len(read) or read[m.position] != m)

    def unsent(value: Any) -> Any:
        return value._replace(outbox=unread(value.outbox)) if isinstance(value, Head) else value

    def advanced(worker: Worker) -> Worker:
        queue, phase = unread(worker.queue), worker.phase
        if phase == PUBLISHES and not queue:
            phase = HEALS if worker.writing else SERVES
        writing = tuple((key, unsent(value)) for key, value in worker.writing)
        return worker._replace(queue=queue, phase=phase, writing=writing, looked=worker.looked and worker.owner)

    *slots, head = world.log
    log = (*slots, head._replace(valid=unsent(head.valid), void=unsent(head.void)))
    strays = tuple(sorted(filter(None, map(unread, world.strays))))
    return world._replace(log=log, workers=tuple(map(advanced, world.workers)), strays=strays)


def wrong(protocol: Protocol) -> Callable[[World], Iterator[str]]:
    """What must never be: judged by what the reader has, by what is acknowledged, and by what would be recovered."""
    commands = protocol.commands
    told = [protocol.decided(EMPTY, range(end), 0) if end else (EMPTY, ()) for end in range(len(commands) + 1)]
    history = [(message.offset, message.what) for message in told[-1][1]]

    def judge(world: World) -> Iterator[str]:
        accepted = [(message.offset, message.what) for message in world.read]
        if len(set(accepted)) < len(accepted):
            yield "doubled"
        elif accepted != history[: len(accepted)]:
            yield "not the history of one owner"
        if len(accepted) < len(told[world.group][1]):
            yield "an acknowledged command has lost its messages"
        *state, head = protocol.recovered(world)
        if head.applied + 1 < world.group:
            yield "the head knows less than is acknowledged"
        if [[id_ for id_, _ in values] for values in state] != _ids(told[head.applied + 1][0]):
            yield "the recovered state is not the fold of the commands up to its head"
        elif any(_told_otherwise(message, state) for message in world.read):
            yield "state and messages differ"

    return judge


def _ids(memory: Memory) -> list[list[str]]:
    return [[id_ for id_, _ in values] for values in memory[:HEAD]]


def _told_otherwise(message: Message, state: list[Any]) -> bool:
    """Whether the state holds what the message tells, but decided by another worker."""
    id_, _, key = message.what.partition(" changed ")
    return bool(key) and any(known == id_ and author != message.author for known, author in state[int(key)])


def good_end(protocol: Protocol) -> Callable[[World], bool]:
    """All is acknowledged; by then, every command has its outcome, or it is wrong."""
    return lambda world: world.group == len(protocol.commands)
