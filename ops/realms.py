"""The option `--realm` of commands that look at one realm's topics."""

from typing import Annotated

from cyclopts import Parameter

from domain import REALMS


def _known(kind: type, name: str) -> None:
    if name not in REALMS:
        raise ValueError(f"there are the realms {', '.join(REALMS)}")


RealmName = Annotated[str, Parameter(validator=_known)]
