"""Job J on Quix Streams, in a process and an environment of its own: Quix wants older packages than ours."""

import asyncio
from pathlib import Path

from ops.errors import Fault
from topics.catalogue import COMMANDS, EVENTS, OUTCOMES
from topics.settings import Settings

#: Processing guarantee -> how figures are named.
GUARANTEES = {"at-least-once": "quix", "exactly-once": "quix_exactly_once"}
HOW_TO_INSTALL = "make quix installs it."
CHECKOUT = Path(__file__).parent.parent
PYTHON = CHECKOUT / ".venv-quix" / "bin" / "python"


def installed() -> bool:
    return PYTHON.exists()


async def rate(settings: Settings, total: int, guarantee: str) -> float:
    """Commands per second of a process that works off `total` commands. Raises Fault where it fails."""
    topics = (topic.named(settings.prefix) for topic in (COMMANDS, EVENTS, OUTCOMES))
    words = ("-m", "bench.quix_job.job", settings.kafka, guarantee, str(total), *topics)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(PYTHON, *words, cwd=CHECKOUT, stdout=pipe, stderr=pipe)
    said, complaint = await process.communicate()
    if process.returncode:
        raise Fault(f"Quix Streams has failed:\n{complaint.decode()}")
    return float(said.split()[-1])
