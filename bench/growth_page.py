"""docs/scaling.md and its graphs from what was measured: `python -m bench.growth_page` writes them again."""

import json
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.growth import POINTS, RESULTS
from bench.scaling import ASSUMED, WORKERS, Measured, Plan, results_of, steps
from ops.bench import CHECKOUT
from ops.bench import RESULTS as OTHERS
from ops.console import say

PAGE = CHECKOUT / "docs" / "scaling.md"
GRAPHS = CHECKOUT / "docs" / "scaling"

AXES = {
    "companies": "companies, of ten machines each, of one where they are 10,000",
    "machines": "machines, of one company in one partition",
    "partitions": "partitions, with 100 companies of ten machines",
}
FIGURES = {
    "commands_per_second": "commands a second",
    "p50_ms": "p50 in ms",
    "p99_ms": "p99 in ms",
    "resident_mb": "memory in MB",
    "recovery_seconds": "recovery in s",
    "log_bytes_per_command": "bytes of log a command",
    "journal_bytes_per_command": "of them in the journal",
}
BLOCK = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)

Figures = Mapping[str, Any]


def page(text: str, growth: Figures, others: Figures) -> str:
    """The page with its generated blocks made anew."""
    plans = {workers: Plan(workers, Measured.of(growth, others)) for workers in WORKERS}
    blocks = {
        "measured": _measured(growth),
        "assumed": _assumed(),
        "plans": _plans(plans),
        "arithmetic": _arithmetic(plans[max(WORKERS)]),
    }
    return BLOCK.sub(lambda found: found[1] + "\n".join(blocks[found[2]]) + "\n" + found[3], text)


def _measured(growth: Figures) -> Iterator[str]:
    machine = "{processor}, {cores} cores, {memory_gb} GB; {system}, Python {python}".format(**growth["machine"])
    yield f"\nMeasured {growth['at']} on {machine}.\n"
    for axis, meaning in AXES.items():
        yield f"| {axis} | {' | '.join(FIGURES.values())} |\n|---|{'---|' * len(FIGURES)}"
        for point in growth["points"].values():
            if point["axis"] == axis:
                yield f"| {point['value']:,} | {' | '.join(f'{point[name]:,}' for name in FIGURES)} |"
        yield f"\nBy the number of {meaning}.\n"
        if (GRAPHS / f"{axis}.svg").exists():
            yield f"![{axis}](scaling/{axis}.svg)\n"


def _assumed() -> Iterator[str]:
    yield "\n| name | value | meaning |\n|---|---|---|"
    yield from (f"| `{name}` | {value:,} | {meaning} |" for name, (value, meaning) in ASSUMED.items())
    yield ""


def _plans(plans: Mapping[int, Plan]) -> Iterator[str]:
    yield f"\n| workers | {' | '.join(f'{workers:,}' for workers in plans)} |\n|---|{'---|' * len(plans)}"
    names = [name for name, _, _ in steps(next(iter(plans.values())))]
    columns = [results_of(plan) for plan in plans.values()]
    yield from (f"| {name} | {' | '.join(values)} |" for name, *values in zip(names, *columns, strict=True))
    yield ""


def _arithmetic(plan: Plan) -> Iterator[str]:
    yield f"\n| for {plan.workers:,} workers | how | with | is |\n|---|---|---|---|"
    for (name, how, numbers), value in zip(steps(plan), results_of(plan), strict=True):
        yield f"| {name} | {how} | {numbers} | {value} |"
    yield ""


# -- graphs ------------------------------------------------------------------------------------------------------------


def draw(growth: Figures) -> None:
    """A graph for each axis, of all figures."""
    if find_spec("altair") is None or find_spec("vl_convert") is None:
        say("No graphs are drawn: altair and vl-convert-python of the dependency group bench are not installed.")
        return
    GRAPHS.mkdir(exist_ok=True)
    for axis in AXES:
        points = [point for point in growth["points"].values() if point["axis"] == axis]
        if points:
            _chart(axis, points).save(GRAPHS / f"{axis}.svg")


def _chart(axis: str, points: list[Figures]) -> Any:
    import altair

    drawn = []
    for name, title in FIGURES.items():
        values = [{axis: point["value"], title: point[name]} for point in points]
        chart = altair.Chart(altair.Data(values=values)).mark_line(point=True).properties(width=220, height=150)
        x = altair.X(f"{axis}:Q").scale(type="log")
        drawn.append(chart.encode(x=x, y=altair.Y(f"{title}:Q").scale(zero=True)))
    return altair.concat(*drawn, columns=3)


def write(growth: Path = RESULTS, others: Path = OTHERS) -> None:
    """Write the page and the graphs from the files of figures."""
    found = json.loads(growth.read_text())
    missing = {point.name for point in POINTS} - found["points"].keys()
    if missing:
        say(f"Not measured yet: {', '.join(sorted(missing))}")
    draw(found)
    PAGE.write_text(page(PAGE.read_text(), found, json.loads(others.read_text())))


if __name__ == "__main__":
    write()
