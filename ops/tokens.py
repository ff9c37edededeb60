"""`bitcorp token`: an access token for the API, signed with the key of the settings or of the stack."""

import sys
from datetime import timedelta

from ops.console import say
from ops.errors import Fault
from topics.settings import Settings


def token(
    *, company: str | None = None, user: str | None = None, operator: str | None = None, hours: float = 1
) -> None:
    """Make an access token: for a user of a company, or for an operator, who opens companies.

    Parameters
    ----------
    company
        The company of the user.
    user
        Id of the user.
    operator
        Id of the operator; instead of company and user.
    hours
        How long the token opens the API.
    """
    text = make_token(Settings(), company, user, operator, timedelta(hours=hours))
    sys.stdout.write(text + "\n")
    if sys.stdout.isatty():
        say(f"Good for {hours:g} h. Use it as: curl -H 'Authorization: Bearer <token>' ...", "dim")


def make_token(
    settings: Settings, company: str | None, user: str | None, operator: str | None, lifetime: timedelta
) -> str:
    """Raises Fault where it is not clear for whom."""
    from api.tokens import mint
    from domain.decider import Actor

    if bool(user and company) == bool(operator):
        raise Fault("A token is for --company and --user, or for an --operator alone.")
    try:
        actor = Actor.parse(f"operator:{operator}" if operator else f"user:{user}")
        return mint(settings, actor, None if operator else company, lifetime)
    except ValueError as fault:
        raise Fault(f"This is no name for a token: {fault}") from fault
