"""`bitcorp state`: the lanes' state, folded again from the journal."""

from typing import Annotated

from cyclopts import App, Parameter

from domain import BUSINESS, REALMS
from ops.console import progress, say
from ops.realms import RealmName
from ops.records import consumer, partitions
from ops.stack import resolve
from topics.catalogue import TOPICS_OF
from topics.settings import Settings

app = App(name="state", help="Rebuild the lanes' state from the journal.")

Flag = Parameter(negative="")


@app.command
async def rebuild(
    *,
    partition: tuple[int, ...] = (),
    realm: RealmName = BUSINESS.name,
    accept_gap: Annotated[bool, Flag] = False,
    new_commands_topic: Annotated[bool, Flag] = False,
) -> None:
    """Fold the state again from the journal and write what differs. Lanes that run take the partition over again.

    Parameters
    ----------
    partition
        Only these partitions; all if none is named.
    realm
        Whose state: that of the business, or of another realm.
    accept_gap
        Give up commands that expired before a lane read them.
    new_commands_topic
        Accept that the commands topic was made anew, and start at its beginning.
    """
    from agents.rebuild_state import rebuild_state

    settings = resolve(Settings())
    with consumer(settings) as reader:
        chosen = partition or tuple(partitions(reader, TOPICS_OF[realm].commands.named(settings.prefix)))
    with progress("Rebuilding the state", len(chosen)) as done:

        def report(line: str) -> None:
            say(line)
            done(1)

        await rebuild_state(
            settings,
            chosen,
            accept_gap=accept_gap,
            new_commands_topic=new_commands_topic,
            report=report,
            realm=REALMS[realm],
        )
