"""The embedded servers: started for real, killed for real."""

import asyncio
import hashlib
import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import confluent_kafka.admin
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ops.embedded import EmbeddedError, Kafka, Postgres, Stack, identity, jars, java
from ops.embedded.binaries import find_binaries, pinned_binaries
from ops.embedded.locks import Lock
from ops.embedded.ports import free_ports, require_port

CHECKOUT = Path(__file__).parents[2]
JARS = Path(os.environ.get("BITCORP_JARS") or CHECKOUT / ".bitcorp" / "jars")


def until(fact: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def running(pid: int) -> bool:
    """Whether the process works (one that nobody has buried yet does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


async def write_message(address: str, value: bytes) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        if "parcels" not in await admin.list_topics():
            await admin.create_topics([NewTopic("parcels", 1, 1, topic_configs={"max.message.bytes": str(8 << 20)})])
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=address, acks="all", max_request_size=8 << 20) as producer:
        await producer.send_and_wait("parcels", value)


async def read_messages(address: str, count: int) -> list[bytes | None]:
    consumer = AIOKafkaConsumer("parcels", bootstrap_servers=address, auto_offset_reset="earliest", group_id="readers")
    async with consumer, asyncio.timeout(30):
        return [(await anext(consumer)).value for _ in range(count)]


async def execute(dsn: str, *statements: str) -> object:
    """The single value of the last statement."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


# The jar lock


LOCK = f"""
# a comment
[kafka]
org.example:part:1.0 sha256:{"ab" * 32} 1234

[postgres-linux-amd64]
"""


def test_a_lock_lists_the_jars_of_each_part() -> None:
    assert jars.parse(LOCK) == {
        "kafka": (jars.Jar("org.example", "part", "1.0", "ab" * 32, 1234),),
        "postgres-linux-amd64": (),
    }


@pytest.mark.parametrize(
    "line",
    [
        "org.example:part:1.0 sha256:abc 1234",
        f"org.example:part sha256:{'ab' * 32} 1234",
        f"org.example:part:1.0 md5:{'ab' * 32} 1234",
        f"org.example:part:1.0 sha256:{'ab' * 32} many",
        "one two",
    ],
)
def test_a_lock_line_that_cannot_be_read_is_named(line: str) -> None:
    with pytest.raises(EmbeddedError, match="Line 2 of the jar lock"):
        jars.parse(f"[kafka]\n{line}\n")


def test_a_jar_outside_of_any_part_is_an_error() -> None:
    with pytest.raises(EmbeddedError, match="Line 1"):
        jars.parse(f"org.example:part:1.0 sha256:{'ab' * 32} 1234")


def test_an_unknown_part_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(EmbeddedError, match="only: kafka, postgres-linux-amd64"):
        jars.locked("zookeeper", LOCK)


def test_the_shipped_lock_holds_kafka_and_a_logger_for_it() -> None:
    names = {jar.artifact for jar in jars.locked("kafka")}
    assert {"kafka_2.13", "kafka-clients", "slf4j-simple"} <= names


def test_no_shipped_file_names_a_repository_host() -> None:
    for path in (CHECKOUT / "ops" / "embedded").iterdir():
        assert not path.is_file() or "://repo" not in path.read_text()


# Fetching, with a repository made of files


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> jars.Jar:
    """A jar that only the user's local Maven repository has."""
    content = b"class files"
    repository = tmp_path / "m2"
    place = repository / "org" / "example" / "part" / "1.0"
    place.mkdir(parents=True)
    (place / "part-1.0.jar").write_bytes(content)
    monkeypatch.setattr(jars, "default_maven_repo", lambda: repository)
    monkeypatch.setattr(jars, "_repositories", dict)
    monkeypatch.setattr("shutil.which", lambda name: None)
    return jars.Jar("org.example", "part", "1.0", hashlib.sha256(content).hexdigest(), len(content))


def test_a_fetched_jar_is_checked_and_kept(part: jars.Jar, tmp_path: Path) -> None:
    [path] = jars.fetch([part], tmp_path / "kept")
    assert path == tmp_path / "kept" / "part-1.0.jar"
    assert path.read_bytes() == b"class files"
    assert sorted(file.name for file in path.parent.iterdir()) == ["fetch.lock", "part-1.0.jar"]


def test_a_tampered_jar_is_refused(part: jars.Jar, tmp_path: Path) -> None:
    [path] = jars.fetch([part], tmp_path / "kept")
    path.write_bytes(b"other class files")
    with pytest.raises(EmbeddedError, match=r"It will not be run\. Delete the file"):
        jars.fetch([part], tmp_path / "kept")


def test_a_download_that_does_not_match_is_not_installed(part: jars.Jar, tmp_path: Path) -> None:
    other = jars.Jar(part.group, part.artifact, part.version, "00" * 32, part.size)
    with pytest.raises(EmbeddedError, match="could not be downloaded") as refusal:
        jars.fetch([other], tmp_path / "kept")
    assert "BITCORP_JARS" in str(refusal.value)
    assert not (tmp_path / "kept" / "part-1.0.jar").exists()


def test_two_processes_may_fetch_at_once(part: jars.Jar, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    other = Lock(kept / "fetch.lock")
    assert other.acquire()
    said: list[str] = []

    def hear(message: str) -> None:
        said.append(message)
        (kept / "part-1.0.jar").write_bytes(b"class files")
        other.release()

    assert jars.fetch([part], kept, hear) == [kept / "part-1.0.jar"]
    assert said == [f"Waiting for process {os.getpid()}, which is fetching the same files"]


def test_a_mirror_of_the_user_is_asked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jgo.conf").write_text("[repositories]\nmirror = file:///mirror\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(tmp_path / "jgo.conf"))
    assert next(iter(jars._repositories().items())) == ("mirror", "file:///mirror")
    assert len(jars._repositories()) == 2


# Ports, locks and Java


def test_a_taken_port_is_refused_with_its_number_and_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EmbeddedError, match=rf"needs port {port} of 127.0.0.1, which is taken by .*End that"):
            require_port("Kafka", port)


def test_a_lock_ends_with_its_last_holder(tmp_path: Path) -> None:
    mine, other = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert mine.acquire()
    assert not other.acquire()
    assert other.holder() == str(os.getpid())
    mine.release()
    assert other.acquire()
    other.release()


def test_without_java_or_an_installer_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "_places", list)
    monkeypatch.setattr(java, "_wheel", lambda: None)
    monkeypatch.setattr(java, "_installer", list)
    with pytest.raises(EmbeddedError, match="Install Java 17 or newer, for example openjdk-17"):
        java.find_java()


def test_a_java_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").touch()
    (tmp_path / "release").write_text('JAVA_VERSION="1.8.0_402"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(java, "_wheel", lambda: None)
    monkeypatch.setattr(java, "_installer", list)
    with pytest.raises(EmbeddedError, match=r"Java 8 at .* is too old"):
        java.find_java()


# Real servers


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("a stack with ñ and, spaces")
    with Stack(directory, jars=JARS) as stack:
        yield stack


@pytest.mark.servers
async def test_kafka_takes_and_gives_a_message_up_to_eight_mebibytes(stack: Stack) -> None:
    large = os.urandom((8 << 20) - 1000)
    await write_message(stack.kafka.address, large)
    assert await read_messages(stack.kafka.address, 1) == [large]


@pytest.mark.servers
async def test_postgres_searches_by_trigrams_and_knows_letters_beyond_ascii(stack: Stack) -> None:
    create = "create extension if not exists pg_trgm"
    assert await execute(stack.postgres.dsn, create, "select similarity('ñandú', 'Ñandú')") == 1
    assert await execute(stack.postgres.dsn, "select upper('ñandú')") == "ÑANDÚ"


@pytest.mark.servers
async def test_postgres_writes_durably(stack: Stack) -> None:
    assert await execute(stack.postgres.dsn, "show fsync") == "on"
    assert await execute(stack.postgres.dsn, "show listen_addresses") == ""


@pytest.mark.servers
def test_a_second_stack_on_the_same_directory_is_refused(stack: Stack) -> None:
    with pytest.raises(EmbeddedError, match=rf"Another stack \(pid {os.getpid()}\) works in .*Stop it first"):
        Stack(stack.directory, jars=JARS).start()
    assert stack.kafka.alive()
    assert stack.postgres.alive()


@pytest.mark.servers
def test_starting_what_runs_changes_nothing(stack: Stack) -> None:
    before = stack.kafka.pid, stack.postgres.pid
    stack.start()
    assert (stack.kafka.pid, stack.postgres.pid) == before


@pytest.mark.long
@pytest.mark.servers
async def test_data_survive_the_kill_of_each_server(tmp_path: Path) -> None:
    with Stack(tmp_path, jars=JARS) as stack:
        address, dsn = stack.kafka.address, stack.postgres.dsn
        await write_message(address, b"one")
        await execute(dsn, "create table notes (text text)", "insert into notes values ('one') returning text")
        stack.kafka.kill()
        stack.postgres.kill()
        assert not stack.kafka.alive()
        assert not stack.postgres.alive()
        stack.start()
        assert (stack.kafka.address, stack.postgres.dsn) == (address, dsn)
        assert await execute(dsn, "select text from notes") == "one"
        await write_message(address, b"two")
        assert await read_messages(address, 2) == [b"one", b"two"]


@pytest.mark.long
@pytest.mark.servers
async def test_data_survive_a_clean_stop(tmp_path: Path) -> None:
    with Stack(tmp_path, jars=JARS) as stack:
        await write_message(stack.kafka.address, b"one")
        await execute(stack.postgres.dsn, "create table notes (text text)", "select 1")
    with stack:
        assert await read_messages(stack.kafka.address, 1) == [b"one"]
        assert await execute(stack.postgres.dsn, "select count(*) from notes") == 0


SCRIPT = """
import sys, time
from pathlib import Path
from ops.embedded import Stack

stack = Stack(Path(sys.argv[1]), jars=Path(sys.argv[2]))
stack.start()
print(stack.kafka.pid, stack.postgres.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.long
@pytest.mark.servers
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent was killed")
def test_the_kill_of_the_program_leaves_no_server_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(JARS)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        pids = [int(pid) for pid in program.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(running, pids))
        program.send_signal(signal.SIGKILL)
    until(lambda: not any(map(running, pids)))
    with Stack(tmp_path, jars=JARS):  # nothing stale stands in the way
        pass


@pytest.mark.long
@pytest.mark.servers
def test_a_stack_started_while_its_killed_predecessor_still_ends_waits_for_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(JARS)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        assert program.stdout.readline()
        program.send_signal(signal.SIGKILL)
    with Stack(tmp_path, jars=JARS) as stack:
        assert stack.kafka.alive()


@pytest.mark.servers
def test_a_server_that_cannot_start_takes_the_other_down_and_shows_its_log(tmp_path: Path) -> None:
    stack = Stack(tmp_path, jars=JARS)
    (tmp_path / "kafka" / "data").mkdir(parents=True)
    (tmp_path / "kafka" / "data" / "meta.properties").write_text("version=7\n")
    with pytest.raises(EmbeddedError, match=r"(?s)Kafka ended during its start.*kafka.log; the last lines"):
        stack.start()
    assert not stack.postgres.alive()
    assert not stack.kafka.alive()


@pytest.mark.long
@pytest.mark.servers
def test_clients_of_a_listener_beside_are_told_the_port_of_what_stands_before_it(tmp_path: Path) -> None:
    (door,) = free_ports(1)
    kafka = Kafka(tmp_path, JARS, beside={"side": door})
    kafka.start()
    try:
        aside, usual = f"127.0.0.1:{kafka.port_of('side')}", kafka.address
        told = {place: told_ports(place) for place in (aside, usual)}
        assert told == {aside: [door], usual: [int(usual.rpartition(":")[2])]}
    finally:
        kafka.stop()


def told_ports(address: str) -> list[int]:
    """The ports of the brokers that a client which comes in here is sent to."""
    brokers = confluent_kafka.admin.AdminClient({"bootstrap.servers": address}).list_topics(timeout=10).brokers
    return [broker.port for broker in brokers.values()]


@pytest.mark.servers
def test_kafka_says_who_has_taken_its_port(tmp_path: Path) -> None:
    kafka = Kafka(tmp_path, JARS)
    host, port = kafka.address.split(":")
    with (
        socket.create_server((host, int(port))),
        pytest.raises(EmbeddedError, match=rf"Kafka needs port {port} .*start in another directory"),
    ):
        kafka.start()


@pytest.mark.long
@pytest.mark.servers
async def test_a_class_archive_is_made_at_the_first_clean_stop(tmp_path: Path) -> None:
    cache = tmp_path / "jars"
    cache.mkdir()
    for path in jars.fetch(jars.locked("kafka"), JARS):
        (cache / path.name).hardlink_to(path)
    kafka = Kafka(tmp_path / "kafka", cache)
    kafka.start()
    kafka.stop()
    [archive] = [path for path in cache.iterdir() if path.suffix in (".jsa", ".aot")]
    made = archive.stat().st_mtime_ns
    kafka.start()
    try:
        await write_message(kafka.address, b"one")
    finally:
        kafka.stop()
    assert archive.stat().st_mtime_ns == made


@pytest.mark.servers
async def test_postgres_listens_on_a_tcp_port_when_asked_and_wants_the_password(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    postgres = Postgres(tmp_path, JARS, port=port)
    postgres.start()
    try:
        assert f"@127.0.0.1:{port}/" in postgres.dsn
        assert await execute(postgres.dsn, "select 1") == 1
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(f"postgresql://postgres:wrong@127.0.0.1:{port}/postgres")
    finally:
        postgres.stop()


@pytest.mark.servers
async def test_postgres_keeps_its_socket_elsewhere_when_the_path_is_too_long(tmp_path: Path) -> None:
    postgres = Postgres(tmp_path / ("long" * 20) / ("name" * 20), JARS)
    addresses = []
    for _ in range(2):
        postgres.start()
        try:
            addresses.append(postgres.dsn)
            assert await execute(postgres.dsn, "select 1") == 1
        finally:
            postgres.stop()
    assert addresses[0] == addresses[1]


@pytest.mark.servers
@pytest.mark.slow
async def test_the_pinned_postgres_runs_and_its_data_choose_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres = Postgres(tmp_path, JARS)
    with monkeypatch.context() as machine:
        machine.setattr("ops.embedded.binaries._directories", list)
        postgres.start()
    try:
        create = "create extension pg_trgm"
        assert await execute(postgres.dsn, create, "select upper('ñandú')") == "ÑANDÚ"
    finally:
        postgres.stop()
    assert find_binaries(JARS, pinned_binaries(JARS).major).major == pinned_binaries(JARS).major


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that every user can get to; those of pytest are closed."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        yield Path(place)


@pytest.mark.servers
@pytest.mark.skipif(os.geteuid() != 0, reason="only root must become somebody else")
async def test_without_user_namespaces_root_runs_postgres_as_nobody(
    reachable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "namespaces_work", lambda: False)
    postgres = Postgres(reachable / "postgres", JARS)
    postgres.start()
    try:
        assert await execute(postgres.dsn, "select 1") == 1
        assert identity.choose_identity(reachable / "postgres" / "data").uid == pwd.getpwnam("nobody").pw_uid
    finally:
        postgres.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must become somebody else")
def test_a_directory_that_nobody_can_reach_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(identity, "namespaces_work", lambda: False)
    with pytest.raises(EmbeddedError, match=r"is closed to other users\. Start as an ordinary user"):
        Postgres(closed / "postgres", JARS).start()
