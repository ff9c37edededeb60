"""Python's garbage collector, told what the platform's processes are like: they hold much, little of it in cycles."""

import gc


def collect_rarely() -> None:
    """What is there now, such as all that was imported, stays; walking through all of the rest only costs time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
