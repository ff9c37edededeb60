"""`python -m tests.crash_points.child lanes|views|audit`: a real worker any of whose awaits may be its last."""

import sys
from collections.abc import Callable

from tests.crash_points.awaits import Finder

#: View groups of a worker that is to crash; one that finishes what it has left folds all.
GROUPS = ("fleet", "outcomes", "dead-letters")


def main(kind: str, *groups: str) -> None:
    sys.meta_path.insert(0, Finder)
    from agents import decide, project, recorder
    from topics.settings import Settings

    run: dict[str, Callable[[Settings], None]] = {
        "lanes": decide.main,
        "views": lambda settings: project.main(settings, groups or GROUPS),
        "audit": recorder.main,
    }
    run[kind](Settings())


if __name__ == "__main__":
    main(*sys.argv[1:])
