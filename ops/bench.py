"""`bitcorp bench`: runs the benchmarks of `bench/` on embedded servers of their own and keeps the figures.

A benchmark is a module there with `async def run(settings) -> dict[str, float]`; its name is the module's.
"""

import asyncio
import importlib
import json as json_text
import operator
import os
import pkgutil
import platform
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from rich.text import Text

from ops.console import AsJson, err, out, say, table, write_json
from ops.embedded import Stack
from ops.errors import Fault
from ops.migrate import bring_up_to_date
from topics.settings import Settings

CHECKOUT = Path(__file__).parent.parent
RESULTS = CHECKOUT / "bench" / "results.json"

Benchmark = Callable[[Settings], Awaitable[Mapping[str, float]]]
Figures = dict[str, dict[str, float]]

#: Benchmark and figure -> what it must be.
GOALS: dict[tuple[str, str], tuple[str, float]] = {
    ("depreciation", "ratio"): ("<=", 25),
    ("importing", "p99_ratio"): ("<=", 2),
    ("job_j", "ratio"): (">=", 0.35),
    ("latency", "p50_ms"): ("<=", 15),
    ("latency", "p99_ms"): ("<=", 60),
    ("memory", "bytes_per_machine"): ("<=", 1024),
    ("projection", "ratio"): (">=", 0.5),
    ("past", "ratio"): ("<=", 3),
    ("signing", "share"): ("<=", 0.125),  # of deciding alone, which is four fifths of job J: a tenth of that
}
COMPARED = {">=": operator.ge, "<=": operator.le}


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
    figures = measure(choose(names), Settings())
    results = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "figures": figures}
    RESULTS.write_text(json_text.dumps(results, indent=2, ensure_ascii=False) + "\n")
    if json:
        write_json(results)
    else:
        _print(figures)
    return int(
        any(met(name, figure, value) is False for name, found in figures.items() for figure, value in found.items())
    )


def choose(names: tuple[str, ...]) -> dict[str, Benchmark]:
    """The benchmarks of these names; all if none is named. Raises Fault."""
    if str(CHECKOUT) not in sys.path:
        sys.path.insert(0, str(CHECKOUT))
    modules = [
        importlib.import_module(f"bench.{found.name}") for found in pkgutil.iter_modules([str(CHECKOUT / "bench")])
    ]
    known = {module.__name__.removeprefix("bench."): module.run for module in modules if hasattr(module, "run")}
    for name in names:
        if name not in known:
            raise Fault(f"There is no benchmark {name!r}. There are: {', '.join(known)}")
    return {name: known[name] for name in names or known}


def measure(chosen: Mapping[str, Benchmark], settings: Settings) -> Figures:
    """Run the benchmarks one after the other."""
    figures = {}
    with Stack(settings.directory / "bench", jars=settings.jars, report=say) as stack:
        own = settings.model_copy(
            update={"kafka": stack.kafka.address, "database": SecretStr(stack.postgres.dsn), "replication": 1}
        )
        bring_up_to_date(own)
        for name, run in chosen.items():
            with err.status(f"Measuring {name}"):
                figures[name] = dict(asyncio.run(_awaited(run, own)))
            say(f"{name}: {figures[name]}")
    return figures


async def _awaited(run: Benchmark, settings: Settings) -> Mapping[str, float]:
    return await run(settings)


def met(benchmark: str, figure: str, value: float) -> bool | None:
    """Whether the figure reaches its goal; None where it has none."""
    if (benchmark, figure) not in GOALS:
        return None
    sign, goal = GOALS[benchmark, figure]
    return bool(COMPARED[sign](value, goal))


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


def _print(figures: Figures) -> None:
    rows = [
        (
            name,
            figure,
            f"{value:,}",
            " ".join(map(str, GOALS.get((name, figure), ()))),
            _verdict(met(name, figure, value)),
        )
        for name, found in figures.items()
        for figure, value in found.items()
    ]
    out.print(table("Benchmarks", ("benchmark", "figure", "value", "goal", ""), rows))
    say(f"Written to {RESULTS}")


def _verdict(reached: bool | None) -> Text:
    return {None: Text(), True: Text("met", "green"), False: Text("MISSED", "bold red")}[reached]
