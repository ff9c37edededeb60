"""Cases of past releases that this build decides otherwise, and why: the migrations that were declared.

A rule may change; what has happened may not. So a case that is named here must still be readable: its recorded events
are read, if need be by `topics/upcasters.py`, and fold into a state. The reason names the decision (docs/adr) and says
what becomes of what was decided before.
"""

#: (release, name of the case) -> the reason.
DECLARED: dict[tuple[str, str], str] = {}
