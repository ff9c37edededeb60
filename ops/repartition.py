"""`bitcorp topics repartition`: a platform's records moved into topics with another number of partitions.

The platform stands still meanwhile, and its old topics are sealed: whoever still writes is refused, so nothing is left
behind unseen. They stay as they were, under the old prefix, until somebody deletes them.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from agents import importer, recorder
from agents.decide import group_of as lanes_of
from agents.project import group_of as views_of
from agents.rebuild_state import rebuild_state
from agents.recorder import tail_of
from domain import REALMS
from ops.audit.findings import Findings
from ops.audit.quiet import undecided
from ops.console import progress, say
from ops.errors import Fault
from ops.moving import Mover, size
from ops.records import bounds, consumer, partitions, tails
from ops.verify import prove
from topics.catalogue import AUDIT, COMMANDS, IMPORTS, TOPICS_OF
from topics.generation import next_prefix
from topics.provision import admin_client, create_topics, delete_topics, is_sealed, require, result_of, seal
from topics.settings import Settings
from views import GROUPS
from views.emptying import empty

ANSWER_SECONDS = 30.0
#: Records of the audit that are looked at to find its last valid one.
TAIL = 1000


@dataclass(frozen=True)
class Move:
    """From where to where."""

    old: Settings
    new: Settings

    @classmethod
    def of(cls, settings: Settings, count: int) -> "Move":
        chosen = {"prefix": next_prefix(settings.prefix), "partitions": count}
        return cls(settings, settings.model_copy(update=chosen))


def repartition(move: Move) -> None:
    """Do all of it, or go on where it was interrupted. Raises Fault where it may not be done yet."""
    _refuse_senseless(move)
    _refuse_workers(move)
    with consumer(move.old) as reader:
        _refuse_taken(reader, move)
        _refuse_undone(reader, move.old)
        _check_chains(move.old)
        _seal(reader, move.old)
        with progress("Making the new topics"):
            create_topics(move.new)
        with progress("Moving the records", size(reader, move.old)) as advance:
            Mover(reader, move.old, move.new).move(advance)
        _skip_imports(reader, move.new)
    _check_chains(move.new)
    _fold_state(move.new)
    with progress("Emptying the views, which are folded again from the new topics"):
        asyncio.run(empty(move.new.database.get_secret_value()))


def give_up(move: Move) -> list[str]:
    """Open the old topics again and delete the new ones; gives their names. Raises Fault where those are in use."""
    if not is_sealed(move.old):
        raise Fault(f"The topics of {move.old.prefix} are open: nothing is being moved.")
    _refuse_workers(move)
    with consumer(move.old) as reader:
        _refuse_taken(reader, move)
    deleted = delete_topics(move.new)
    seal(move.old, sealed=False)
    asyncio.run(empty(move.old.database.get_secret_value()))
    return deleted


def _refuse_senseless(move: Move) -> None:
    if not is_sealed(move.old):
        require(move.old)
    if move.new.partitions == move.old.partitions:
        raise Fault(f"The topics have {move.new.partitions} partitions already.")


# -- standing still ----------------------------------------------------------------------------------------------------


def _refuse_workers(move: Move) -> None:
    with progress("Looking whether workers still run"):
        alive = [*_alive(move.old), *_alive(move.new)]
    if alive:
        raise Fault(
            f"Workers still run: {', '.join(alive)}. Stop all workers and the API first, and look again in a moment: a "
            "worker that was killed counts until its session has ended."
        )


def _alive(settings: Settings) -> list[str]:
    """The platform's consumer groups with members, and how many these are."""
    groups = list(groups_of(settings))
    with admin_client(settings) as admin:
        known = {group.group_id for group in result_of(admin.list_consumer_groups()).valid}
        there = [group for group in groups if group in known]
        asked = admin.describe_consumer_groups(there) if there else {}
        members = {group: len(result_of(found).members) for group, found in asked.items()}
    return [f"{count} in the group {group}" for group, count in members.items() if count]


def groups_of(settings: Settings) -> Iterator[str]:
    """The consumer groups of all workers."""
    yield from (lanes_of(settings, realm) for realm in REALMS.values())
    yield from (views_of(settings, group) for group in GROUPS)
    yield from (importer.group_of(settings), recorder.group_of(settings))


def _refuse_taken(reader: Consumer, move: Move) -> None:
    if _taken(reader, move.new):
        name = COMMANDS.named(move.new.prefix)
        raise Fault(f"{name} has taken commands: all was moved, and the platform runs there.")


def _seal(reader: Consumer, settings: Settings) -> None:
    """Nothing may have come in since it was looked; else the topics stay open."""
    if is_sealed(settings):
        return
    seal(settings)
    try:
        _refuse_undone(reader, settings)
    except Fault:
        seal(settings, sealed=False)
        raise


def _refuse_undone(reader: Consumer, settings: Settings) -> None:
    with progress("Looking whether all is decided, published and audited"):
        undone = [*undecided(reader, settings), *_unaudited(reader, settings), *_unimported(reader, settings)]
    if undone:
        raise Fault("\n".join(["Not all is done. Start the workers until it is, then stop them:", *undone]))


def _unaudited(reader: Consumer, settings: Settings) -> Iterator[str]:
    name = AUDIT.named(settings.prefix)
    last = tails(reader, name, TAIL)
    for partition in partitions(reader, name):
        tail = tail_of(last.get(partition, ()), bounds(reader, name, partition).end)
        for realm, topics in TOPICS_OF.items():
            end = bounds(reader, topics.outcomes.named(settings.prefix), partition).end
            read = tail.read.get(realm, 0) if tail else 0
            if read < end:
                yield f"  {name}, partition {partition}: outcomes {read} to {end - 1} of {realm} are not audited"


def _unimported(reader: Consumer, settings: Settings) -> Iterator[str]:
    name = IMPORTS.named(settings.prefix)
    with admin_client(settings) as admin:
        done = _offsets(admin, importer.group_of(settings), name, partitions(reader, name))
    for partition, offset in done.items():
        end = bounds(reader, name, partition).end
        if max(offset, 0) < end:
            yield f"  {name}, partition {partition}: records {max(offset, 0)} to {end - 1} are not imported"


def _offsets(admin: AdminClient, group: str, topic: str, numbers: list[int]) -> dict[int, int]:
    """What the group has acknowledged; negative where nothing yet."""
    places = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, number) for number in numbers])
    found = result_of(admin.list_consumer_group_offsets([places])[group])
    return {place.partition: place.offset for place in found.topic_partitions}


def _taken(reader: Consumer, settings: Settings) -> bool:
    """Whether the topics are there and have taken commands."""
    names = [topics.commands.named(settings.prefix) for topics in TOPICS_OF.values()]
    there = reader.list_topics(timeout=ANSWER_SECONDS).topics
    return any(
        bounds(reader, name, partition).end for name in names if name in there for partition in partitions(reader, name)
    )


# -- what follows from the records -------------------------------------------------------------------------------------


def _check_chains(settings: Settings) -> None:
    findings: Findings = prove(settings)
    if not findings.clean:
        shown = [text for texts in findings.samples.values() for text in texts]
        raise Fault(
            "\n".join([f"The hash chains of {settings.prefix} do not hold. Look with: bitcorp verify --chain", *shown])
        )


def _skip_imports(reader: Consumer, settings: Settings) -> None:
    """What was imported is not imported again."""
    name = IMPORTS.named(settings.prefix)
    ends = [TopicPartition(name, p, bounds(reader, name, p).end) for p in partitions(reader, name)]
    with admin_client(settings) as admin:
        places = ConsumerGroupTopicPartitions(importer.group_of(settings), ends)
        for done in admin.alter_consumer_group_offsets([places]).values():
            result_of(done)


def _fold_state(settings: Settings) -> None:
    with progress("Folding the state", len(REALMS) * settings.partitions) as advance:

        def report(_: str) -> None:
            advance(1)

        for realm in REALMS.values():
            asyncio.run(rebuild_state(settings, range(settings.partitions), report=report, realm=realm))


def tell_what_next(move: Move, tell: Callable[[str], None] = say) -> None:
    """What the operator does now."""
    tell(f"All records of {move.old.prefix} are in {move.new.prefix}, in {move.new.partitions} partitions. Now:")
    tell(f"  1. Set BITCORP_PREFIX={move.new.prefix} and BITCORP_PARTITIONS={move.new.partitions} for every process.")
    tell("  2. Where Kafka knows its clients: bitcorp access apply. Start the workers, then: bitcorp keys apply")
    tell(f"  3. Wait until bitcorp verify agrees, start the API, and let upstream systems send to {move.new.prefix}.")
    tell(f"  4. The topics of {move.old.prefix} take no more records. Keep them as long as you may want to look.")
