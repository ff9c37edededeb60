"""`bitcorp bench`: runs the benchmarks of `bench/` on embedded servers of their own and keeps the figures.

A benchmark is a module there with `async def run(settings) -> dict[str, float]`; its name is the module's.
"""

import asyncio
import importlib
import json as json_text
import os
import pkgutil
import platform
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from rich.text import Text

from ops.console import AsJson, err, out, say, table, write_json
from ops.embedded import Stack
from ops.errors import Fault
from ops.migrate import bring_up_to_date
from ops.running import emptied
from topics.settings import Settings

CHECKOUT = Path(__file__).parent.parent
RESULTS = CHECKOUT / "bench" / "results.json"

Benchmark = Callable[[Settings], Awaitable[Mapping[str, float]]]
Figures = dict[str, dict[str, float]]


def bench(*names: str, json: AsJson = False) -> int:
    """Measure this machine; ratios are to plain loops in the same run. Writes bench/results.json, where figures of
    other benchmarks stay, and docs/performance.md from it.

    Exit code 1 if a goal is missed.

    Parameters
    ----------
    names
        Only these benchmarks.
    json
        One JSON object as it is written to the file.
    """
    return report(measured(choose(names), Settings()), json)


def soak(*, minutes: float = 60, rate: int = 100, json: AsJson = False) -> int:
    """Measure for a long time, under steady load, whether the memory of any process grows. Exit code 1 if it does.

    Parameters
    ----------
    minutes
        How long; a tenth of it is warm-up.
    rate
        Commands a second.
    json
        One JSON object as it is written to bench/results.json.
    """
    run = _module("soak").soak
    return report(measured({"soak": partial(run, minutes=minutes, rate=rate)}, Settings()), json)


def report(found: Iterator[tuple[str, Mapping[str, float]]], as_json: bool) -> int:
    """Keep the figures of each benchmark as it ends, show all, and write the pages that show them."""
    figures: Figures = {}
    for name, measures in found:
        figures[name] = dict(measures)
        keep(name, figures[name])
    _module("report").write()
    if as_json:
        write_json(_results() | {"figures": figures})
    else:
        _print(figures)
    return int(not all(target.met(figures[name][figure]) for (name, figure), target in _targets(figures).items()))


def keep(name: str, figures: dict[str, float]) -> None:
    """Write the figures down beside those of other benchmarks on this machine."""
    results = _results()
    results["at"][name] = datetime.now(UTC).isoformat(timespec="seconds")
    results["figures"][name] = figures
    RESULTS.write_text(json_text.dumps(results, indent=2, ensure_ascii=False) + "\n")


def _results() -> dict[str, Any]:
    """What was measured on this machine before."""
    blank: dict[str, Any] = {"machine": machine(), "at": {}, "figures": {}}
    found = json_text.loads(RESULTS.read_text()) if RESULTS.exists() else blank
    return found if found["machine"] == blank["machine"] else blank


def _module(name: str) -> Any:
    """A module of `bench/`, which lies beside the installed rooms."""
    if str(CHECKOUT) not in sys.path:
        sys.path.insert(0, str(CHECKOUT))
    return importlib.import_module(f"bench.{name}")


def _targets(figures: Figures) -> dict[tuple[str, str], Any]:
    """The targets of what was measured."""
    known = _module("targets").BY_FIGURE.items()
    return {(name, figure): target for (name, figure), target in known if figure in figures.get(name, {})}


def choose(names: tuple[str, ...]) -> dict[str, Benchmark]:
    """The benchmarks of these names; all if none is named. Raises Fault."""
    modules = [_module(found.name) for found in pkgutil.iter_modules([str(CHECKOUT / "bench")])]
    known = {module.__name__.removeprefix("bench."): module.run for module in modules if hasattr(module, "run")}
    for name in names:
        if name not in known:
            raise Fault(f"There is no benchmark {name!r}. There are: {', '.join(known)}")
    return {name: known[name] for name in names or known}


def measured(chosen: Mapping[str, Benchmark], settings: Settings) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Run the benchmarks one after the other."""
    with servers(settings) as own:
        bring_up_to_date(own)
        for name, run in chosen.items():
            with err.status(f"Measuring {name}"):
                figures = asyncio.run(_awaited(run, own))
            say(f"{name}: {dict(figures)}")
            yield name, figures


@contextmanager
def servers(settings: Settings) -> Iterator[Settings]:
    """Embedded servers of the benchmarks' own, whose data go with them: thousands of topics that stay make the next
    start slow, and gigabytes are left."""
    with Stack(directory_of(settings), jars=settings.jars, report=say) as stack:
        there = {"kafka": stack.kafka.address, "database": SecretStr(stack.postgres.dsn)}
        yield settings.model_copy(update=there | {"replication": 1})
    emptied(directory_of(settings))


def directory_of(settings: Settings) -> Path:
    """Where their data lie."""
    return settings.directory / "bench"


async def _awaited(run: Benchmark, settings: Settings) -> Mapping[str, float]:
    return await run(settings)


def machine() -> dict[str, Any]:
    """What the figures were measured on. A patch of the system makes no other machine of it."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}, {platform.machine()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _print(figures: Figures) -> None:
    targets = _targets(figures)
    rows = [
        (name, figure, f"{value:,}", *_verdict(targets.get((name, figure)), value))
        for name, found in figures.items()
        for figure, value in found.items()
    ]
    out.print(table("Benchmarks", ("benchmark", "figure", "value", "goal", ""), rows))
    say(f"Written to {RESULTS}")


def _verdict(target: Any, value: float) -> tuple[str, Text]:
    """What the figure shall be, and whether it is."""
    if target is None:
        return "", Text()
    reached = Text("met", "green") if target.met(value) else Text("MISSED", "bold red")
    return f"{target.sign} {target.goal}", reached
