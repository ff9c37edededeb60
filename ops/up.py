"""`bitcorp up`: run everything on this machine and keep it running."""

import os
import shlex
import shutil
import sys
import time
from datetime import timedelta
from pathlib import Path

from ops.console import err, out, plain, say
from ops.running import Platform
from ops.stopping import interruptible, undisturbed
from ops.tokens import make_token
from topics.settings import Settings

LOOK_SECONDS = 0.25
TOKEN_LIFE = timedelta(hours=12)


def up(*, workers: int = 2) -> None:
    """Run the whole platform on this machine until Ctrl-C: Kafka and PostgreSQL (unless BITCORP_KAFKA and
    BITCORP_DATABASE name your own), topics, schema, workers and API. A process that dies is started again.

    Parameters
    ----------
    workers
        How many lane workers to run.
    """
    interruptible()
    platform = Platform(Settings(), workers=workers, report=say)
    try:
        with err.status("Starting"):
            platform.start()
        greet(platform)
        while True:
            platform.look_after()
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        say("Stopping")
    finally:
        undisturbed()
        platform.stop()
    say("Stopped; the data stay in " + str(platform.settings.directory))


def greet(platform: Platform) -> None:
    """URLs, a token and three commands to try next."""
    settings, url = platform.settings, platform.url
    metrics = [
        f"http://127.0.0.1:{p.environment['BITCORP_METRICS_PORT']}/metrics ({p.name})" for p in platform.processes[:-1]
    ]
    lines = [
        ("API, with pages to try it", f"{url}/docs"),
        ("Ready, metrics", f"{url}/ready  {url}/metrics"),
        ("Workers", "  ".join(metrics)),
        ("Kafka", settings.kafka),
        ("PostgreSQL", settings.database.get_secret_value()),
        ("Logs", str(settings.directory / "logs")),
        ("Token (ann of acme)", make_token(settings, "acme", "ann", None, TOKEN_LIFE)),
    ]
    out.print(plain("Bitcorp ERP is running; Ctrl-C stops it.", "bold green"))
    for name, value in lines:
        out.print(plain(f"  {name:<26}{value}"), soft_wrap=True)
    out.print(plain("Try next, in another shell:", "bold"))
    for command in next_commands(url):
        out.print(plain(f"  {command}"), soft_wrap=True)


def next_commands(url: str) -> tuple[str, ...]:
    """Three commands that show what this is."""
    me = program()
    return (
        f"{me} send create-company acme Acme America/Lima PEN ann 'Ann Soto' ann@acme.example --actor operator:me",
        f"{me} tail events --from-beginning",
        f'curl -H "Authorization: Bearer $({me} token --company acme --user ann)" {url}/api/v1/companies',
    )


def program(directory: str | None = None) -> str:
    """How this shell calls us, with the directory where it is not the usual one."""
    ours = Path(sys.prefix, "bin", "bitcorp")
    found = shutil.which("bitcorp")
    name = "bitcorp" if found and Path(found).samefile(ours) else os.path.relpath(ours)
    directory = directory or os.environ.get("BITCORP_DIRECTORY")
    return f"BITCORP_DIRECTORY={shlex.quote(directory)} {shlex.quote(name)}" if directory else shlex.quote(name)
