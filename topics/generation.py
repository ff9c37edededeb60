"""Generations of a platform's topics: `bitcorp topics repartition` moves all records into topics of the next one.

The prefix tells the generation: `erp`, then `erp-g2`, `erp-g3`. Partitions and offsets begin anew with each, so what is
derived from them, such as the ids of events, names the generation too, from the second on.
"""

import re
from functools import lru_cache

OF_PREFIX = re.compile(r"(?P<first>.+?)(?:-g(?P<generation>[2-9]|[1-9]\d+))?")


def generation_of(prefix: str) -> int:
    """Which generation topics with this prefix are."""
    return _parts(prefix)[1]


def next_prefix(prefix: str) -> str:
    """The prefix of the generation that follows."""
    first, generation = _parts(prefix)
    return f"{first}-g{generation + 1}"


@lru_cache(maxsize=1000)
def mark_of(topic: str) -> str:
    """What ids that are derived from places in this topic have more than those of the first generation: `g2`, or
    nothing."""
    generation = generation_of(topic.partition(".")[0])
    return f"g{generation}" if generation > 1 else ""


@lru_cache(maxsize=1000)
def _parts(prefix: str) -> tuple[str, int]:
    found = OF_PREFIX.fullmatch(prefix)
    assert found is not None  # the pattern takes any text that is not empty
    return found["first"], int(found["generation"] or 1)
