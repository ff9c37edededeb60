"""What the lanes rely on in Faust and aiokafka, beyond their documentation.

A failure here means that an upgrade has changed it: think the sentence that names the test through again first.
"""

import asyncio
import inspect
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.partitioner import murmur2
from faust.streams import Stream
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer, ThreadDelegateConsumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.transport.drivers.aiokafka import Consumer as DriverConsumer
from intervaltree import IntervalTree
from mode.threads import ServiceThread

from agents.decide import LaneApp, LaneTable
from agents.transport import (
    ENOUGH_BYTES,
    EXIT_LEASE_LOST,
    GATHERED_MS,
    HELD_MS,
    SOME_FULL_HELD_MS,
    ConsumerThread,
    Lease,
    gather,
)
from agents.transport import Consumer as OurConsumer
from domain import BUSINESS
from tests.agents.orders import create_company, record_of
from topics.catalogue import COMMANDS, STATE
from topics.provision import create_topics
from topics.settings import Settings


def source(function: Any) -> str:
    return inspect.getsource(function)


# -- why offsets are ours ----------------------------------------------------------------------------------------------


def test_faust_commits_past_a_command_that_was_left_out() -> None:
    """So nobody may acknowledge out of order; the lanes commit the offset that their head gives instead."""
    place = ("commands", 0)
    faust = SimpleNamespace(
        _acked={place: [34]},
        _acked_index=defaultdict(set),
        _gap=defaultdict(IntervalTree),
        _committed_offset={place: 33},
    )
    assert Consumer._new_offset(faust, place) == 35


def test_an_agents_stream_acknowledges_what_it_hands_out_whatever_becomes_of_it() -> None:
    """So the agent pulls from the channel's queue, where nothing is acknowledged for us."""
    handed_out = source(Stream._c_aiter).partition("yield value")[2]
    assert handed_out.index("finally:") < handed_out.index("it.after(event, do_ack")


def test_offsets_given_to_the_consumer_are_committed_as_they_are() -> None:
    assert list(inspect.signature(DriverConsumer._commit).parameters) == ["self", "offsets"]
    assert "consumer.commit(aiokafka_offsets)" in source(AIOKafkaConsumerThread._commit)


def test_partitions_without_a_committed_offset_are_not_sought_back() -> None:
    """So what is fetched and dropped at a rebalance would be passed over, if the worker did not go back itself."""
    assert "if offset is not None" in source(Consumer.perform_seek)


def test_only_seek_wait_goes_back_in_the_consumers_own_thread() -> None:
    """So the worker calls no other: from another thread a seek empties a buffer that is just being read."""
    assert "self.call_thread(self._seek_wait" in source(AIOKafkaConsumerThread.seek_wait)
    assert "call_thread" not in source(AIOKafkaConsumerThread.seek)
    assert list(inspect.signature(DriverConsumer.seek_wait).parameters) == ["self", "partitions"]


# -- the thread that ours does without ---------------------------------------------------------------------------------


def test_the_consumers_thread_can_be_given_the_loop_of_the_app() -> None:
    assert "self.thread_loop = thread_loop or asyncio.new_event_loop()" in source(ServiceThread.__init__)
    assert "self._close_thread_loop_on_stop = thread_loop is None" in source(ServiceThread.__init__)
    assert "if self._thread is not None" in source(ServiceThread.stop)


def test_what_the_thread_does_at_its_start_and_end_is_one_coroutine() -> None:
    """So that it can run as a task; all but its last step, which would cancel whatever else runs in the loop."""
    served = source(ServiceThread._serve)
    steps = ("_default_start()", "on_thread_started()", "notify, self._thread_running", "wait_until_stopped()")
    ends = ("_shutdown_thread()", "_gather_remaining_tasks()")
    places = [served.index(step) for step in steps + ends]
    assert places == sorted(places)
    assert "task.cancel()" in source(ServiceThread._gather_remaining_tasks)


def test_the_thread_is_asked_for_records_by_the_method_that_ours_calls_itself() -> None:
    assert "await self._thread.getmany(active_partitions, timeout)" in source(ThreadDelegateConsumer._getmany)
    assert "self._fetch_records," in source(AIOKafkaConsumerThread.getmany)
    expected = ["self", "consumer", "active_partitions", "timeout", "max_records"]
    assert list(inspect.signature(AIOKafkaConsumerThread._fetch_records).parameters) == expected


# -- the fetch loop that ours replaces ---------------------------------------------------------------------------------


def test_faust_drains_with_the_method_that_ours_overrides() -> None:
    theirs, ours = inspect.signature(Consumer._drain_messages), inspect.signature(OurConsumer._drain_messages)
    assert list(theirs.parameters) == list(ours.parameters) == ["self", "fetcher"]
    assert "self.getmany" in source(Consumer._drain_messages)
    assert "self._read_offset" in source(Consumer._drain_messages)


def test_faust_fetches_with_the_method_that_our_loop_calls() -> None:
    assert list(inspect.signature(Consumer._wait_next_records).parameters) == ["self", "timeout"]
    assert "await self._wait_next_records(timeout)" in source(Consumer.getmany)
    for name in ("flow_active", "_buffered_partitions", "callback", "_to_message", "consumer_stopped_errors"):
        assert name in source(Consumer) or hasattr(DriverConsumer, name), name


def test_a_full_partition_is_left_out_of_the_fetch_and_comes_back() -> None:
    place = ("commands", 0)
    faust = SimpleNamespace(
        app=SimpleNamespace(in_recovery=False), _buffered_partitions=set(), _get_active_partitions=lambda: active
    )
    active = {place}
    Consumer.on_buffer_full(faust, place)
    assert active == set()
    Consumer.on_buffer_drop(faust, place)
    assert active == {place}


def test_a_broker_is_asked_for_nothing_more_while_it_holds_a_fetch() -> None:
    """So ours are held for a short time where a partition is busy."""
    asked = source(Fetcher._get_actions_per_node)
    assert "elif node_id in self._in_flight:" in asked
    assert asked.index("req = FetchRequest(") < asked.index("self._fetch_max_wait_ms,")
    assert "fetch_max_wait_ms=1500" in source(AIOKafkaConsumerThread._create_worker_consumer)


def test_a_fetch_is_asked_for_with_what_the_one_before_it_has_set() -> None:
    assert "self._proc_fetch_request(assignment, node_id, request)" in source(Fetcher._fetch_requests_routine)
    asked = source(Fetcher._get_actions_per_node)
    assert asked.index("req = FetchRequest(") < asked.index("self._fetch_min_bytes,")


@pytest.mark.parametrize("held", [HELD_MS, SOME_FULL_HELD_MS])
async def test_kafka_gathers_records_after_a_fetch_that_found_some_and_only_then(held: int) -> None:
    fetches = iter([True, False])

    async def fetch(*_: object) -> bool:
        return next(fetches)

    fetcher = SimpleNamespace(_proc_fetch_request=fetch, _fetch_min_bytes=1, _fetch_max_wait_ms=HELD_MS)
    gather(SimpleNamespace(_fetcher=fetcher), lambda: held)
    assert await fetcher._proc_fetch_request("assignment", 0, "request")
    assert (fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms) == (ENOUGH_BYTES, GATHERED_MS)
    assert not await fetcher._proc_fetch_request("assignment", 0, "request")
    assert (fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms) == (1, held)


# -- the lease ---------------------------------------------------------------------------------------------------------


def test_the_heartbeat_can_be_watched_from_outside() -> None:
    assert "await self._do_heartbeat()" in source(GroupCoordinator._heartbeat_routine)
    assert list(inspect.signature(GroupCoordinator._do_heartbeat).parameters) == ["self"]
    assert "return True" in source(GroupCoordinator._do_heartbeat)
    assert "return False" in source(GroupCoordinator._do_heartbeat)


def test_an_expired_session_alone_stops_nothing_in_aiokafka() -> None:
    """So the worker needs a lease of its own."""
    routine = source(GroupCoordinator._heartbeat_routine)
    expired = routine[routine.index("session_time > session_timeout") :]
    assert expired[: expired.index("# If consumer is idle")].count("self.coordinator_dead()") == 1
    assert "raise" not in expired


def test_dealings_with_the_group_that_end_by_a_fault_are_noticed_by_nobody() -> None:
    """So the worker watches their task, and leaves."""
    assert "self._coordination_task = create_task(" in source(GroupCoordinator.__init__)
    assert "raise kafka_exc from exc" in source(GroupCoordinator._coordination_routine)
    assert "check_errors" not in source(AIOKafkaConsumerThread)


@pytest.mark.thorough
@pytest.mark.parametrize(("ending", "code"), [("raise OSError('gone')", EXIT_LEASE_LOST), ("pass", 0)])
def test_a_process_whose_dealings_with_the_group_have_ended_by_a_fault_leaves(ending: str, code: int) -> None:
    script = f"""
        import asyncio
        from agents.transport import leave_without_coordination

        async def coordinate():
            {ending}

        async def serve():
            asyncio.create_task(coordinate()).add_done_callback(leave_without_coordination)
            await asyncio.sleep(1)

        asyncio.run(serve())
    """
    assert subprocess.run([sys.executable, "-c", dedent(script)], capture_output=True).returncode == code


def test_faust_makes_its_consumer_where_ours_hooks_in() -> None:
    assert issubclass(ConsumerThread, AIOKafkaConsumerThread)
    assert "self._create_worker_consumer(transport)" in source(AIOKafkaConsumerThread._create_consumer)
    assert "self._new_consumer_thread()" in source(ThreadDelegateConsumer.__init__)


def test_a_lease_lasts_a_session_from_the_moment_a_heartbeat_was_sent() -> None:
    now = [100.0]
    lease = Lease(3.0, clock=lambda: now[0])
    assert lease.valid, "nothing is assigned yet"
    lease.take()
    now[0] = 102.0
    lease.renew(asked_at=101.0)
    now[0] = 103.9
    assert lease.valid
    now[0] = 104.0
    assert not lease.valid
    lease.release()
    assert lease.valid


def test_an_answer_to_an_older_heartbeat_shortens_no_lease() -> None:
    now = [10.0]
    lease = Lease(3.0, clock=lambda: now[0])
    lease.take()
    lease.renew(asked_at=9.0)
    now[0] = 12.5
    assert lease.valid


# -- the table ---------------------------------------------------------------------------------------------------------


def test_recovery_asks_the_table_where_to_begin() -> None:
    assert "table.persisted_offset(tp)" in source(Recovery._add)
    assert list(inspect.signature(LaneTable.persisted_offset).parameters) == ["self", "tp"]


def test_recovery_gives_the_table_its_records_and_tells_it_when_all_are_there() -> None:
    assert "table.apply_changelog_batch(" in source(Recovery.flush_buffers)
    completed = source(Recovery.on_recovery_completed)
    assert "table.on_recovery_completed(" in completed
    assert completed.index("table.on_recovery_completed(") < completed.index("consumer.perform_seek()")


def test_the_settings_that_correctness_asks_for() -> None:
    app = LaneApp(Settings(kafka="127.0.0.1:1", session_seconds=5), BUSINESS)
    assert app.conf.web_enabled is False, "tables would be readable by whoever asks"
    assert app.conf.broker_max_poll_interval >= 10**7, "an idle member would leave the group for good"
    assert app.conf.stream_publish_on_commit is False, "events of unfinished commands would escape"
    assert app.conf.topic_disable_leader and not app.conf.topic_allow_declare
    assert app.conf.table_standby_replicas == 0
    assert app.conf.processing_guarantee.value == "at_least_once"
    assert app.conf.consumer_auto_offset_reset == "earliest"
    assert app.conf.broker_session_timeout == 5
    assert app.conf.consumer_metadata_max_age_ms == 5_000, (
        "a group would stand still for minutes after a broker's start"
    )


def test_kafkas_own_partitioner_is_murmur2() -> None:
    """Vectors of org.apache.kafka.common.utils.UtilsTest."""
    vectors = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    assert {key: (murmur2(key) ^ 0x80000000) - 0x80000000 for key in vectors} == vectors


# -- on a real Kafka ---------------------------------------------------------------------------------------------------


@pytest.fixture
async def producers(settings: Settings) -> AsyncIterator[list[AIOKafkaProducer]]:
    """Two producers as the lanes have one."""
    found = [AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all", enable_idempotence=True) for _ in range(2)]
    for producer in found:
        await producer.start()
    yield found
    for producer in found:
        await producer.stop()


def batch_of(producer: AIOKafkaProducer, count: int, name: str) -> Any:
    batch = producer.create_batch()
    for number in range(count):
        batch.append(key=name.encode(), value=b"%d" % number, timestamp=None, headers=[("by", name.encode())])
    batch.close()
    return batch


async def stored(settings: Settings) -> list[tuple[int, str, int]]:
    """Offset, key and value of all records of the changelog's first partition."""
    place = TopicPartition(STATE.named(settings.prefix), 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([place])
    end = (await consumer.end_offsets([place]))[place]
    found: list[tuple[int, str, int]] = []
    while len(found) < end:
        records = (await consumer.getmany(place, timeout_ms=500)).get(place, [])
        found += [(record.offset, record.key.decode(), int(record.value)) for record in records]
    await consumer.stop()
    return found


async def test_a_batch_is_appended_whole_and_its_acknowledgement_names_its_first_offset(
    settings: Settings, producers: list[AIOKafkaProducer]
) -> None:
    async def send(number: int) -> tuple[str, int]:
        producer, name = producers[number % 2], f"batch-{number}"
        acknowledged = await producer.send_batch(batch_of(producer, 7, name), STATE.named(settings.prefix), partition=0)
        return name, (await acknowledged).offset

    bases = dict(await asyncio.gather(*(send(number) for number in range(40))))
    log = await stored(settings)
    for name, base in bases.items():
        assert log[base : base + 7] == [(base + number, name, number) for number in range(7)]


async def test_a_group_that_has_assigned_nothing_assigns_when_its_leader_asks_for_topics_again(blank: Settings) -> None:
    """As when a broker has just started and knows no topic yet."""
    assigned: asyncio.Queue[int] = asyncio.Queue()

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None: ...

        def on_partitions_assigned(self, places: set[TopicPartition]) -> None:
            assigned.put_nowait(len(places))

    group = f"{blank.prefix}-early"
    consumer = AIOKafkaConsumer(bootstrap_servers=blank.kafka, group_id=group, metadata_max_age_ms=500)
    await consumer.start()
    try:
        consumer.subscribe([COMMANDS.named(blank.prefix)], listener=Listener())
        async with asyncio.timeout(60):
            assert await assigned.get() == 0
            create_topics(blank)
            while await assigned.get() < blank.partitions:
                pass
    finally:
        await consumer.stop()


async def test_a_producers_batches_keep_their_order(settings: Settings, producers: list[AIOKafkaProducer]) -> None:
    producer = producers[0]
    waits = [
        await producer.send_batch(batch_of(producer, 2, str(number)), STATE.named(settings.prefix), partition=0)
        for number in range(50)
    ]
    offsets = [(await wait).offset for wait in waits]
    assert offsets == sorted(offsets)


async def test_a_batch_that_nobody_waits_for_any_more_lands_all_the_same(
    settings: Settings, producers: list[AIOKafkaProducer]
) -> None:
    """So giving up on an acknowledgement says nothing about the batch: the lane looks into the log."""
    producer = producers[0]
    acknowledged = await producer.send_batch(batch_of(producer, 3, "left"), STATE.named(settings.prefix), partition=0)
    acknowledged.cancel()
    await producer.flush()
    assert len(await stored(settings)) == 3


SCRIPT = dedent(
    """
    import asyncio, json, os, sys
    from agents.decide import LaneTable, Worker
    from topics.settings import Settings

    seen = []

    def noting(name, of=lambda *args: None):
        original = getattr(LaneTable, name)
        def noted(self, *args):
            seen.append((name, of(self, *args)))
            return original(self, *args)
        setattr(LaneTable, name, noted)

    noting("persisted_offset")
    noting("apply_changelog_batch")
    noting("on_recovery_completed", lambda self, active, standby: sorted(tp.partition for tp in active))

    async def main():
        worker = Worker(Settings())
        stop = asyncio.get_running_loop().call_later
        def look():
            lanes = worker.lanes.values()
            records = sum(len(lane.state.records) for lane in lanes)
            if lanes and all(lane.serving for lane in lanes) and records >= int(os.environ["RECORDS_WANTED"]):
                seen.append(("generation", worker.app.consumer_generation_id))
                seen.append(("records", records))
                worker._left.set()
            else:
                stop(0.05, look)
        look()
        await worker.serve()

    asyncio.run(main())
    print(json.dumps(seen))
    sys.stdout.flush()
    os._exit(0)
    """
)


def run_a_worker(settings: Settings, wanted: int, **environment: str) -> list[tuple[str, Any]]:
    """What Faust calls in a worker that starts, serves until its state has so many records, and stops."""
    env = {f"BITCORP_{name.upper()}": str(getattr(settings, name)) for name in ("kafka", "prefix", "partitions")}
    env |= {"BITCORP_SESSION_SECONDS": "3", "BITCORP_DIRECTORY": str(settings.directory)}
    env |= {"RECORDS_WANTED": str(wanted), **environment}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=os.environ | env, capture_output=True, timeout=90)
    assert done.returncode == 0, done.stderr.decode()
    return [(name, what) for name, what in json.loads(done.stdout.splitlines()[-1])]


async def test_faust_recovers_the_table_through_our_hooks_with_or_without_its_compiled_parts(
    settings: Settings, producers: list[AIOKafkaProducer]
) -> None:
    first = await asyncio.to_thread(run_a_worker, settings, 0)
    assert [what for name, what in first if name == "on_recovery_completed"][-1] == list(range(settings.partitions))
    assert dict(first)["generation"] > 0
    command = record_of(create_company("acme"))
    await producers[0].send_and_wait(
        COMMANDS.named(settings.prefix), command.value, command.key, headers=list(command.headers)
    )
    decided = dict(await asyncio.to_thread(run_a_worker, settings, 1))
    again = await asyncio.to_thread(run_a_worker, settings, 0, NO_CYTHON="1")
    assert dict(again)["records"] == decided["records"] > 0
    names = [name for name, _ in again]
    assert names.index("persisted_offset") < names.index("apply_changelog_batch") < names.index("on_recovery_completed")


def test_the_table_lives_in_memory_alone() -> None:
    """So nothing on disk can run ahead of its changelog."""
    assert str(LaneApp(Settings(kafka="127.0.0.1:1"), BUSINESS).conf.store) == "memory:"
