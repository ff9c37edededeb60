"""Points that no life of a worker without a fault reaches, each by the beginning of its name, with the reason."""

NEVER = "what is awaited there ends by raising alone"
TOOLS = "only `bitcorp state rebuild` asks for it"
OLD = "only state of an older version is folded again: tests/agents/test_lane.py"
AWAY = "only while Kafka or PostgreSQL is away: tests/agents/test_project.py"
EXPIRED = "only where records have expired unread: tests/agents/test_project.py"
RARE = "only where an acknowledgement takes longer than deciding the next group"

EXPLAINED: dict[str, dict[str, str]] = {
    "lanes": {
        "lane.Lane.run: self._serve() | after": NEVER,
        "lane.Lane.run: asyncio.sleep(self._retry_seconds)": "only a lane that refuses to serve waits there",
        "lane.Lane._read_state: self._log.read(self.state) #2": "only where what was held before has a hole",
        "lane.Lane._refold_outdated": OLD,
        "lane.Lane._serve: asyncio.get_running_loop().create_future()": NEVER,
        "lane.Lane._all_written": RARE,
        "lane.Lane._commit_group: self._wait": RARE,
        "lane.Lane._settle: self._wait": RARE,
        "lane.Lane._wait": RARE,
        "lane.Lane.settle": RARE,
        "decide.Worker._run: lane.run() | after": NEVER,
        "kafka.KafkaLog.journal": OLD,
        "kafka.KafkaLog.outcomes": TOOLS,
        "kafka.KafkaLog._positioned": OLD,
        "kafka.KafkaLog._send: self._producer.send_batch(batch, topic, partition=partition) |": (
            "only where messages of one commit fill a batch of 8 MiB"
        ),
    },
    "views": {
        "projector.Projector.run: self._run() | after": NEVER,
        "projector.Projector._run: self._follow(await self._open()) | after": NEVER,
        "projector.Projector._applied: self._past_expired": EXPIRED,
        "projector.Projector._past_expired": EXPIRED,
        "projecting.start_at": EXPIRED,
        "projecting._transaction: connection.invalidate()": AWAY,
        "projector.Projector._patiently: asyncio.sleep(pause)": AWAY,
        "project.ViewApp.look_after: asyncio.gather": NEVER,
        "project.ViewApp._prune_now_and_then: asyncio.sleep(PRUNE_SECONDS) | after": "an hour later",
        "project.ViewApp._count_letters_now_and_then: asyncio.sleep(COUNT_SECONDS) | after": "ten seconds later",
        "project.schema_is_ours: asyncio.sleep(pause)": AWAY,
    },
    "audit": {},
}


def unexplained(kind: str, points: list[str], reached: set[str]) -> list[str]:
    """The points of a kind of worker that were not reached, and for which there is no reason."""
    reasons = EXPLAINED[kind]
    return [point for point in points if point not in reached and not any(map(point.startswith, reasons))]


def stale(kind: str, points: list[str]) -> list[str]:
    """Reasons for points that there are not any more."""
    return [name for name in EXPLAINED[kind] if not any(point.startswith(name) for point in points)]
