"""Trying again while Kafka or PostgreSQL is away: ever more slowly, and no two processes at the same moments.

What fails for another reason than that is not tried again: it is set aside, or ends the process.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina
import structlog
from stamina.instrumentation import set_on_retry_hooks

from topics import metrics

logger = structlog.get_logger("patience")

FIRST_PAUSE, LONGEST_PAUSE, JITTER = 0.1, 15.0, 0.5

T = TypeVar("T")

set_on_retry_hooks(())  # the log and the metric are our own


async def patiently(away: tuple[type[Exception], ...], action: Callable[..., Awaitable[T]], *given: object) -> T:
    """What the action gives, however long one of these faults keeps it from giving anything."""

    def is_away(fault: Exception) -> bool:
        if not isinstance(fault, away):
            return False
        metrics.WORKER_RETRIES.inc()
        logger.warning("waits for Kafka or PostgreSQL", reason=f"{type(fault).__name__}: {fault}")
        return True

    async for attempt in stamina.retry_context(
        is_away, attempts=None, timeout=None, wait_initial=FIRST_PAUSE, wait_max=LONGEST_PAUSE, wait_jitter=JITTER
    ):
        with attempt:
            return await action(*given)
    raise AssertionError("attempts end by an answer or by another fault")
