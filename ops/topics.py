"""`bitcorp topics`: make the topics as the catalogue says, or show how they differ."""

from cyclopts import App

from ops.console import AsJson, out, progress, say, table, write_json
from ops.stack import resolve
from topics.catalogue import TOPICS
from topics.provision import compare, config_of, create_topics
from topics.settings import Settings

app = App(name="topics", help="Create the topics, or compare them with the catalogue.")


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


def _config(config: dict[str, str]) -> str:
    return "\n".join(f"{name}={value}" for name, value in sorted(config.items()))
