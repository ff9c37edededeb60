"""Time zones as the pinned tzdata package knows them: the files of the machine differ from worker to worker."""

from datetime import date, datetime
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

ZONES = frozenset(files("tzdata").joinpath("zones").read_text().split()) - {"Factory"}


@cache
def zone(name: str) -> ZoneInfo:
    """The IANA zone of that name, one of `ZONES`."""
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as compiled:
        return ZoneInfo.from_file(compiled, key=name)


def day_in(name: str, moment: datetime) -> date:
    """The calendar day of `moment` in the IANA zone."""
    return moment.astimezone(zone(name)).date()
