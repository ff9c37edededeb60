"""`bitcorp bench`: runs the benchmarks of `bench/` on embedded servers of their own and keeps the figures."""

import json
import os
import platform
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from ops.console import AsJson, out, say, table, write_json
from ops.embedded import Stack
from ops.embedded.errors import Report
from ops.errors import Fault
from topics.settings import Settings

CHECKOUT = Path(__file__).parent.parent
RESULTS = CHECKOUT / "bench" / "results.json"


@dataclass(frozen=True)
class Figure:
    """One measured value; `goal` says what it should be, and `met` whether it is (None where there is no goal)."""

    name: str
    value: float
    unit: str
    goal: str = ""
    met: bool | None = None


#: A benchmark gets settings with servers, and a prefix of its own for its topics.
Benchmark = Callable[[Settings, Report], Iterable[Figure]]


def bench(*names: str, json: AsJson = False) -> int:
    """Measure this machine and write bench/results.json; ratios are to plain loops in the same run.

    Exit code 1 if a goal is missed.

    Parameters
    ----------
    names
        Only these benchmarks.
    json
        One JSON object as it is written to the file.
    """
    chosen = choose(names)
    directory = Settings().directory / "bench"
    figures: dict[str, list[Figure]] = {}
    with Stack(directory, report=say) as stack:
        for name, benchmark in chosen.items():
            say(f"Measuring {name}")
            figures[name] = list(benchmark(_settings(stack, name), say))
    results = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}
    results["figures"] = {name: [asdict(figure) for figure in found] for name, found in figures.items()}
    RESULTS.write_text(json_text(results))
    write_json(results) if json else _print(figures)
    return int(any(figure.met is False for found in figures.values() for figure in found))


def choose(names: tuple[str, ...]) -> dict[str, Benchmark]:
    """The benchmarks of these names; all if none is named."""
    sys.path.insert(0, str(CHECKOUT))
    from bench import BENCHMARKS

    known: dict[str, Benchmark] = dict(BENCHMARKS)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise Fault(f"There is no benchmark {unknown[0]!r}. There are: {', '.join(known)}")
    return {name: known[name] for name in names or known}


def _settings(stack: Stack, name: str) -> Settings:
    own = {
        "kafka": stack.kafka.address,
        "database": SecretStr(stack.postgres.dsn),
        "prefix": f"bench-{name}-{os.getpid()}",
    }
    return Settings().model_copy(update=own)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def json_text(results: dict[str, Any]) -> str:
    return json.dumps(results, indent=2, ensure_ascii=False) + "\n"


def _print(figures: dict[str, list[Figure]]) -> None:
    rows = [
        (
            name,
            figure.name,
            f"{figure.value:,.3g}",
            figure.unit,
            figure.goal,
            {True: "met", False: "MISSED", None: ""}[figure.met],
        )
        for name, found in figures.items()
        for figure in found
    ]
    out.print(table("Benchmarks", ("benchmark", "figure", "value", "unit", "goal", ""), rows))
    say(f"Written to {RESULTS}")
