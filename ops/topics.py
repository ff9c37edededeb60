"""`bitcorp topics`: make the topics as the catalogue says, show how they differ, or give them other partitions."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from cyclopts import App, Parameter
from pydantic import SecretStr

from ops.console import AsJson, out, progress, say, table, write_json
from ops.database import told
from ops.embedded import Stack
from ops.errors import Fault
from ops.records import consumer
from ops.stack import resolve, running
from topics.catalogue import TOPICS
from topics.provision import compare, config_of, create_topics
from topics.settings import Settings

app = App(name="topics", help="Create the topics, compare them with the catalogue, or give them other partitions.")

Flag = Parameter(negative="")
MOST_PARTITIONS = 500


@app.command
def apply() -> None:
    """Create missing topics and mend their configurations; a second time there is nothing to do."""
    settings = resolve(Settings())
    with progress("Applying the catalogue"):
        done = create_topics(settings)
    for line in done or ["The topics are as the catalogue says."]:
        say(line)


@app.command
def show(*, json: AsJson = False) -> int:
    """The topics as this build wants them, and each difference from what Kafka has. Exit code 1 if there is one.

    Parameters
    ----------
    json
        One JSON object with topics and differences.
    """
    settings = resolve(Settings())
    differences = compare(settings)
    rows = [
        (
            topic.named(settings.prefix),
            settings.partitions,
            topic.key,
            _config(config_of(topic, settings)),
            topic.meaning,
        )
        for topic in TOPICS
    ]
    columns = ("topic", "partitions", "key", "configuration", "meaning")
    if json:
        write_json(
            {
                "topics": [dict(zip(columns, row, strict=True)) for row in rows],
                "differences": list(map(str, differences)),
            }
        )
    else:
        out.print(table("Topics", columns, rows))
        for difference in differences:
            say(difference, "red")
    return 1 if differences else 0


@app.command
def repartition(
    partitions: int | None = None, /, *, dry_run: Annotated[bool, Flag] = False, give_up: Annotated[bool, Flag] = False
) -> int:
    """Move all records into new topics with another number of partitions; docs/scaling.md has the whole procedure.

    The platform stands still meanwhile: workers and API must be stopped, all commands be decided. The old topics are
    sealed and kept; the new ones have the next generation's prefix, such as erp-g2. Interrupted, it goes on where it
    stopped when it is called again. Where no stack runs, that of the directory is started for it.

    Parameters
    ----------
    partitions
        How many partitions every topic shall have.
    dry_run
        Only show how many records there are by topic and partition, and where they would go.
    give_up
        Open the old topics again, and delete the new ones if nobody has used them.
    """
    from ops.repartition import Move, tell_what_next
    from ops.repartition import give_up as abandon
    from ops.repartition import repartition as do

    with _servers(Settings()) as settings, told(settings):
        if give_up:
            for name in abandon(Move.of(settings, settings.partitions)):
                say(f"deleted {name}")
            say(f"The topics of {settings.prefix} are open again, and the views are empty: workers fold them again.")
            return 0
        if partitions is None or not 1 <= partitions <= MOST_PARTITIONS:
            raise Fault(f"Say how many partitions the topics shall have, 1 to {MOST_PARTITIONS}.")
        if dry_run:
            _show_census(settings, partitions)
            return 0
        move = Move.of(settings, partitions)
        do(move)
        tell_what_next(move)
    return 0


@contextmanager
def _servers(settings: Settings) -> Iterator[Settings]:
    """Those that the settings name, or the directory's own, started where they do not run."""
    own = not settings.kafka and not settings.database.get_secret_value()
    if not own or running(settings) is not None:
        yield resolve(settings)
        return
    with progress("Starting Kafka and PostgreSQL"):
        stack = Stack(settings.directory, jars=settings.jars)
        stack.start()
    try:
        there = {"kafka": stack.kafka.address, "database": SecretStr(stack.postgres.dsn)}
        yield settings.model_copy(update=there)
    finally:
        stack.stop()


def _show_census(settings: Settings, count: int) -> None:
    from ops.moving import census, size

    with consumer(settings) as reader, progress("Counting the records", size(reader, settings)) as advance:
        found = census(reader, settings, count, advance)
    rows = [
        (topic, before.total(), _row(before, settings.partitions), _row(after, count))
        for topic, (before, after) in found.items()
    ]
    columns = ("topic", "records", "by partition now", f"by {count} partitions")
    out.print(table("Nothing is moved yet", columns, rows))


def _row(counts: Counter[int], partitions: int) -> str:
    return " ".join(str(counts[number]) for number in range(partitions))


def _config(config: dict[str, str]) -> str:
    return "\n".join(f"{name}={value}" for name, value in sorted(config.items()))
