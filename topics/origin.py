"""Where a command comes from: header `ce_origin`, written by the process that took the command from its sender.

`<address> <caller> <user agent>`: the network address, the actor that was signed in (`-` where nobody was), and what
the sender's program calls itself. The signature of the process covers it.
"""

import re
from typing import NamedTuple

NOBODY = "-"
LONGEST_AGENT = 80
NOT_PLAIN = re.compile(r"[^ -~]")


class Origin(NamedTuple):
    """The parts of an origin; empty text where nothing is known."""

    address: str
    caller: str = ""
    user_agent: str = ""

    @classmethod
    def parse(cls, text: str) -> "Origin":
        """What `str` has written; of any other text, whatever its parts are."""
        address, _, rest = text.partition(" ")
        caller, _, user_agent = rest.partition(" ")
        return cls(*("" if part == NOBODY else part for part in (address, caller, user_agent)))

    def __str__(self) -> str:
        user_agent = NOT_PLAIN.sub("?", self.user_agent)[:LONGEST_AGENT]
        return f"{self.address or NOBODY} {self.caller or NOBODY} {user_agent}".strip()
