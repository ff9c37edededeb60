"""`bitcorp user`: what lets a person sign in for the first time."""

import sys

from cyclopts import App
from uuid_utils.compat import uuid7

from domain import CREDENTIALS
from ops.console import say
from ops.database import told
from ops.errors import Fault
from ops.send import deliver
from ops.stack import resolve
from topics.settings import Settings

app = App(name="user", help="Let a person sign in.")

WAIT_SECONDS = 15.0


@app.command
async def invite(*, company: str, user: str, operator: str = "shell") -> None:
    """Make a one-time token that sets the user's password: POST /api/v1/auth/password/reset takes it, once.

    Parameters
    ----------
    company
        The company of the user.
    user
        Id of the user, who must be there.
    operator
        Who asks, for the record.
    """
    settings = resolve(Settings())
    with told(settings):
        await _check_there(settings, company, user)
    token = await _issued(settings, company, user, operator)
    sys.stdout.write(token + "\n")
    if sys.stdout.isatty():
        say("Good for 72 h and for one password; it is shown this once.", "dim")


async def _check_there(settings: Settings, company: str, user: str) -> None:
    from views.reading import read_engine, reading
    from views.users import person

    pool = read_engine(settings.database.get_secret_value(), connections=1)
    try:
        async with reading(pool, company) as reader:
            found = await person(reader, user_id=user)
    finally:
        await pool.dispose()
    if found is None or not found.active:
        raise Fault(f"There is no active user {user!r} in a company {company!r}.")


async def _issued(settings: Settings, company: str, user: str, operator: str) -> str:
    from api.credentials import ACTOR, TYPES
    from api.own_password import invitation
    from domain.record import Status
    from topics.messages import CommandMessage

    token, command = invitation(user, f"operator:{operator}")
    data, kind = command.model_dump_json().encode(), TYPES[type(command)]
    message = CommandMessage(str(uuid7()), kind, company, "credential", user, ACTOR, data, "/ops")
    outcome = await deliver(settings, message, WAIT_SECONDS, CREDENTIALS)
    if outcome is None or outcome.status is not Status.ACCEPTED:
        raise Fault(f"No token was made: {outcome.detail if outcome else 'nobody answered'}")
    return token
