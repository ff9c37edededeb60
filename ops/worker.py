"""`bitcorp worker` and `bitcorp api`: one process of the platform, running until SIGTERM or Ctrl-C."""

from cyclopts import App

from ops.stack import resolve
from topics.settings import Settings

app = App(name="worker", help="Run one worker: lanes, credentials, views, audit, imports, timer.")


@app.command
def lanes() -> None:
    """Decide commands. Start as many as there are partitions at most; they share the partitions among them."""
    settings = resolve(Settings())
    from agents.decide import main

    main(settings)


@app.command
def credentials() -> None:
    """Decide who signs in, in lanes and topics of their own. Start as many as there are partitions at most."""
    settings = resolve(Settings())
    from agents.decide import main
    from domain import CREDENTIALS

    main(settings, CREDENTIALS)


@app.command
def views() -> None:
    """Fold events and outcomes into the views in PostgreSQL."""
    settings = resolve(Settings())
    from agents.project import main

    main(settings)


@app.command
def audit() -> None:
    """Record for ever what became of every command. One is enough; several share the partitions among them."""
    settings = resolve(Settings())
    from agents.recorder import main

    main(settings)


@app.command
def imports() -> None:
    """Map the records of other systems to commands, no faster than lanes decide them."""
    settings = resolve(Settings())
    from agents.importer import main

    main(settings)


@app.command
def timer() -> None:
    """Order what plans of maintenance say is due. One is enough; a second does no harm."""
    settings = resolve(Settings())
    from agents.timer import main

    main(settings)


def api() -> None:
    """Serve the HTTP API at BITCORP_API_HOST and BITCORP_API_PORT."""
    settings = resolve(Settings())
    from api.app import main

    main(settings)
