"""The command line `bitcorp`. Each command's module is imported only when it is used, so that the start is quick."""

import importlib.metadata
import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Group
from pydantic import ValidationError
from rich.text import Text

from ops.console import err, plain

#: Name, where it is, group, and the line that `bitcorp --help` shows.
COMMANDS = (
    ("demo", "ops.demo:demo", "Start here", "Start all, send the life of a fleet, and sum up what came of it."),
    ("up", "ops.up:up", "Start here", "Run the whole platform on this machine until Ctrl-C."),
    ("doctor", "ops.doctor:doctor", "Start here", "Check this machine and installation, and say what to do."),
    ("describe", "ops.describe:describe", "Look", "Topics, commands, events, views, metrics as they really are."),
    ("settings", "ops.settings:settings", "Look", "All BITCORP_* variables with their meaning and value."),
    ("tail", "ops.tail:app", "Look", "Follow events, outcomes or dead letters."),
    ("verify", "ops.verify:verify", "Look", "Fold the journal again and compare everything with it."),
    ("send", "ops.send:app", "Use", "Send a command and wait for its outcome."),
    ("depreciation", "ops.depreciation:app", "Use", "Post a month's depreciation for all machines."),
    ("import", "ops.importing:app", "Use", "Import machines from another ERP's file, or take an import back."),
    ("user", "ops.users:app", "Use", "Let a person sign in for the first time."),
    ("token", "ops.tokens:token", "Use", "Make an access token for the API."),
    ("keys", "ops.keys:app", "Use", "Make and list keys of companies' own systems."),
    ("dead-letters", "ops.dead_letters:app", "Use", "List, show, retry and discard what could not be processed."),
    (
        "topics",
        "ops.topics:app",
        "Operate",
        "Create the topics, compare them with the catalogue, or give them other partitions.",
    ),
    ("access", "ops.access:app", "Operate", "Show and give each process its rights in Kafka; make keys and passwords."),
    ("migrate", "ops.migrate:migrate", "Operate", "Bring the database's schema to this build."),
    ("worker", "ops.worker:app", "Operate", "Run one worker: lanes, credentials, views, audit, imports, timer."),
    ("api", "ops.worker:api", "Operate", "Run one API process."),
    ("views", "ops.views:app", "Operate", "List the views, or rebuild some from the journal."),
    ("state", "ops.state:app", "Operate", "Rebuild the lanes' state from the journal."),
    ("fire", "ops.fire.command:fire", "Operate", "Let the platform's parts fail under load, and check what is left."),
    ("bench", "ops.bench:bench", "Operate", "Measure this machine, as ratios to plain loops."),
    ("soak", "ops.bench:soak", "Operate", "Measure for an hour whether memory grows."),
)


def make_app(used: str | None = None) -> App:
    """The whole command line. The command that is used speaks for itself: its own docstring is its help."""
    app = App(
        name="bitcorp",
        help="Equipment ERP on Kafka, Faust and PostgreSQL.",
        help_epilogue="Settings come from BITCORP_* variables; see: bitcorp settings",
        version=lambda: importlib.metadata.version("bitcorp-erp"),
        error_formatter=_wrong_arguments,
        error_console=err,
    )
    groups = {group: Group(group, sort_key=number) for number, (_, _, group, _) in enumerate(COMMANDS)}
    for name, place, group, line in COMMANDS:
        app.command(place, name=name, group=groups[group], help=None if name == used else line)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. Exit codes: 0 done, 1 a fault that the text explains, 2 wrong arguments, 130 Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        make_app(given[0] if given else None)(given, exit_on_error=False)
    except CycloptsError:
        sys.exit(2)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as fault:
        told = explain(fault)
        if told is None:
            raise
        err.print(Text.assemble(("Error: ", "bold red"), plain(told)))
        sys.exit(1)


def explain(fault: Exception) -> str | None:
    """What a fault that users can mend says to them; None for a fault of ours."""
    if isinstance(fault, ValidationError) and fault.title == "Settings":
        return _wrong_settings(fault)
    return str(fault) if isinstance(fault, _told()) else None


def _told() -> tuple[type[Exception], ...]:
    """Exceptions whose text was written for the user."""
    from agents.rebuild import LogTooShort
    from api.tokens import NoSigningKey
    from ops.embedded import EmbeddedError
    from ops.errors import Fault
    from topics.access import NoAccess
    from topics.provision import TopicsDiffer
    from topics.publisher import TooLarge, Unavailable
    from views.migrate import SchemaDiffers
    from views.rebuild import RebuildUnderWay, TablesBusy

    ours = (Fault, EmbeddedError, NoSigningKey, NoAccess)
    return *ours, TopicsDiffer, Unavailable, TooLarge, SchemaDiffers, RebuildUnderWay, TablesBusy, LogTooShort


def _wrong_settings(fault: ValidationError) -> str:
    lines = [f"  BITCORP_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in fault.errors(include_input=False)]
    return "\n".join(["Some settings are wrong:", *lines, "Look at their meaning with: bitcorp settings"])


def _wrong_arguments(fault: CycloptsError) -> Text:
    """Every wrong field with the option it came from, where a command's fields are wrong."""
    cause = fault.__cause__
    if not isinstance(cause, ValidationError):
        return Text.assemble(("Error: ", "bold red"), plain(fault))
    from domain.engine import field_errors

    lines = [f"\n  --{e['field'].replace('_', '-')}: {e['detail']}" for e in field_errors(cause)]
    return Text.assemble(("Error: ", "bold red"), "Some options are wrong:", *map(plain, lines))


if __name__ == "__main__":
    main()
