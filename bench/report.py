"""The pages that show the figures: docs/performance.md, its graphs and the lines of README.md, all from results.json.

`bitcorp bench` writes them; `python -m bench.report` writes them again. A test compares them with the results.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.soak import SAMPLES
from bench.targets import TARGETS, Target
from ops.console import say

CHECKOUT = Path(__file__).parent.parent
RESULTS, README = CHECKOUT / "bench" / "results.json", CHECKOUT / "README.md"
PAGE = CHECKOUT / "docs" / "performance.md"
GRAPHS = CHECKOUT / "docs" / "performance"

Results = Mapping[str, Any]

HEAD = """# Performance

Written by `bitcorp bench` from [`bench/results.json`](../bench/results.json); what shall be reached, and why something
is not, stands in [`bench/targets.py`](../bench/targets.py). Each figure is measured again by the command beside it, on
servers of its own; figures of one benchmark are of one run, those that are compared of the same minutes. A machine that
others share may run at half its speed for a while: ratios say more than rates.
"""

#: Graph -> what it shows.
SHOWN = {
    "job_j": "Job J: commands a second of one process, on the same Kafka.",
    "posting": "POST to answer, and to the row in the view, by commands sent a second; both axes are logarithmic.",
    "soak": "Memory of each process under steady load.",
}

#: What README.md shows, as format of a benchmark's figures.
IN_README = {
    "job_j": "One worker decides **{worker_per_second:,} commands a second** with all guarantees on: {ratio:.2f} times "
    "a raw aiokafka loop that guarantees nothing{beside_quix}.",
    "posting": "`POST` to the decided answer takes **{p50_ms_at_100:.0f} ms (p50), {p99_ms_at_100:.0f} ms (p99)** at "
    "100 commands a second over HTTP.",
}


def page(results: Results) -> str:
    """docs/performance.md."""
    figures = results["figures"]
    parts = [HEAD, _machine(results["machine"]), *_targets(figures), *_missed(figures), *_graphs(), *_all(results)]
    return "\n".join(parts)


def _machine(machine: Mapping[str, Any]) -> str:
    return "Measured on {processor}, {cores} cores, {memory_gb} GB; {system}, Python {python}.\n".format(**machine)


def _targets(figures: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    yield "## Targets\n\n| what | is | shall be | | measured by |\n|---|---|---|---|---|"
    for target in TARGETS:
        value = found(target, figures)
        shown = "not measured" if value is None else number(value)
        yield (
            f"| {target.meaning} | {shown} | {target.sign} {number(target.goal)} | {verdict(target, value)} | "
            f"`{command(target.benchmark)}` |"
        )


def found(target: Target, figures: Mapping[str, Mapping[str, float]]) -> float | None:
    """The value that was measured, if any."""
    return figures.get(target.benchmark, {}).get(target.figure)


def verdict(target: Target, value: float | None) -> str:
    """`met`, or by how much it is missed."""
    if value is None or target.met(value):
        return "" if value is None else "met"
    return f"**missed** by {abs(value - target.goal) / target.goal:.0%}"


def _missed(figures: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    missed = [target for target in TARGETS if not target.met(found(target, figures) or target.goal)]
    if missed:
        yield "\n## What is missed, and why\n"
    for target in missed:
        yield f"- `{target.benchmark}.{target.figure}`: {target.why}"


def _graphs() -> Iterator[str]:
    yield "\n## Graphs\n"
    for name, meaning in SHOWN.items():
        if (GRAPHS / f"{name}.svg").exists():
            yield f"![{meaning}](performance/{name}.svg)\n\n{meaning}\n"


def _all(results: Results) -> Iterator[str]:
    yield "## All figures\n"
    for name, measured in sorted(results["figures"].items()):
        yield f"`{command(name)}`, {results['at'][name]}:\n\n| figure | value |\n|---|---|"
        yield from (f"| {figure} | {number(value)} |" for figure, value in measured.items())
        yield ""


def command(benchmark: str) -> str:
    """How the figures of a benchmark are measured again."""
    return "make soak" if benchmark == "soak" else f"bitcorp bench {benchmark}"


def number(value: float) -> str:
    return f"{round(value, 3):,}"


# -- README.md ---------------------------------------------------------------------------------------------------------

BLOCK = re.compile(r"(<!-- figures -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def readme(text: str, results: Results) -> str:
    """The text with the lines of the figures that matter."""
    return BLOCK.sub(lambda found: f"{found[1]}{''.join(readme_lines(results))}{found[2]}", text)


def readme_lines(results: Results) -> Iterator[str]:
    for benchmark, line in IN_README.items():
        if benchmark in results["figures"]:
            figures = results["figures"][benchmark]
            beside = f", {figures['quix_ratio']:.2f} times Quix Streams" if "quix_ratio" in figures else ""
            yield f"- {line.format(**figures, beside_quix=beside)} Again: `{command(benchmark)}`.\n"


# -- graphs ------------------------------------------------------------------------------------------------------------


def draw(figures: Mapping[str, Mapping[str, float]]) -> None:
    """Write the graphs of what was measured."""
    if find_spec("altair") is None or find_spec("vl_convert") is None:
        say("No graphs are drawn: make setup installs the dependency group bench, in which altair is pinned.")
        return
    GRAPHS.mkdir(exist_ok=True)
    for name, chart in charts(figures).items():
        chart.properties(width=640, height=280).save(GRAPHS / f"{name}.svg")


def charts(figures: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Altair charts by name."""
    drawn = {name: chart(figures[name]) for name, chart in CHARTS.items() if name in figures}
    return drawn | ({"soak": memory(SAMPLES)} if SAMPLES.exists() else {})


def bars(job_j: Mapping[str, float]) -> Any:
    import altair

    ways = {name.removesuffix("_per_second"): value for name, value in job_j.items() if name.endswith("_per_second")}
    values = [{"way": name.replace("_", " "), "commands a second": value} for name, value in ways.items()]
    chart = altair.Chart(altair.Data(values=values)).mark_bar()
    return chart.encode(x="commands a second:Q", y=altair.Y("way:N", sort="-x", title=None))


MEASURES = {"p50_ms": "answer, p50", "p99_ms": "answer, p99", "visible_p99_ms": "in the view, p99"}


def latencies(posting: Mapping[str, float]) -> Any:
    import altair

    values = [
        {"sent": posting[f"sent_per_second_at_{rate}"], "milliseconds": posting[f"{figure}_at_{rate}"], "to": meaning}
        for rate in (name.rpartition("_")[2] for name in posting if name.startswith("sent_per_second_at_"))
        for figure, meaning in MEASURES.items()
    ]
    chart = altair.Chart(altair.Data(values=values)).mark_line(point=True)
    return chart.encode(
        x=altair.X("sent:Q", title="commands sent a second").scale(type="log"),
        y=altair.Y("milliseconds:Q").scale(type="log"),
        color="to:N",
    )


def memory(samples: Path) -> Any:
    import altair

    with samples.open() as file:
        rows = list(csv.DictReader(file))
    values = [{name: row[name] if name == "process" else float(row[name]) for name in row} for row in rows]
    chart = altair.Chart(altair.Data(values=values)).mark_line()
    return chart.encode(
        x=altair.X("minute:Q", title="minutes"), y=altair.Y("resident_mb:Q", title="MB"), color="process:N"
    )


#: Benchmark -> the chart of its figures.
CHARTS = {"job_j": bars, "posting": latencies}


def write() -> None:
    """Write page, graphs and the lines of README.md from what results.json holds."""
    results = json.loads(RESULTS.read_text())
    draw(results["figures"])
    PAGE.write_text(page(results))
    README.write_text(readme(README.read_text(), results))


if __name__ == "__main__":
    write()
