"""The pages show what was measured, and the benchmarks' own parts compute what they say."""

import inspect
import json
from pathlib import Path

import pytest

from bench import report
from bench.posting import Answer, Load, Shown
from bench.soak import Sample, grown
from bench.targets import TARGETS, Target
from ops.bench import choose
from topics.settings import Settings

MEASURED = json.loads(report.RESULTS.read_text())


def test_the_page_shows_the_figures_of_the_results() -> None:
    assert report.PAGE.read_text() == report.page(MEASURED), "run: python -m bench.report"


def test_the_readme_shows_the_figures_that_matter() -> None:
    text = report.README.read_text()
    assert text == report.readme(text, MEASURED), "run: python -m bench.report"
    assert all(line in text for line in report.readme_lines(MEASURED))


def test_each_target_is_of_a_benchmark_and_the_soak_is_one_by_itself() -> None:
    assert {target.benchmark for target in TARGETS} <= {*choose(()), "soak"}


def test_each_benchmark_needs_nothing_but_the_settings() -> None:
    for name, run in choose(()).items():
        inspect.signature(run).bind(Settings())
        assert inspect.iscoroutinefunction(run), name


def test_each_target_that_is_missed_says_why() -> None:
    verdicts = {target: report.verdict(target, report.found(target, MEASURED["figures"])) for target in TARGETS}
    assert [target.meaning for target, said in verdicts.items() if "missed" in said and not target.why] == []


@pytest.mark.parametrize(("value", "said"), [(0.6, "met"), (0.3, "**missed** by 50%"), (None, "")])
def test_a_verdict_says_by_how_much_a_target_is_missed(value: float | None, said: str) -> None:
    assert report.verdict(Target("sample", "ratio", ">=", 0.6, "a sample"), value) == said


def test_figures_of_a_load_tell_what_was_refused_and_when_the_views_had_the_rest() -> None:
    shown = Shown()
    for moment, position in ((1.0, 3), (2.0, 3), (3.0, 7)):
        shown.look(0, position, moment)
    load = Load([Answer(0.5, 0.6, 0, 3), Answer(0.5, 0.7, 0, 4)], refused=2, seconds=2)
    figures = load.figures(shown)
    assert (figures["sent_per_second"], figures["accepted_per_second"], figures["refused_share"]) == (2, 1, 0.5)
    assert (figures["p50_ms"], figures["visible_p50_ms"]) == (100, 500)
    assert not shown.reached(Answer(0.5, 0.6, 0, 8))
    assert shown.at(Answer(0.5, 0.6, 0, 4)) == 3.0


def test_growth_compares_the_end_with_what_was_after_the_warm_up() -> None:
    samples = [Sample(minute, "lanes", 50 if minute == 0 else 100 + minute, 10) for minute in range(10)]
    figures = grown(samples)
    assert figures["growth"] == figures["lanes_growth"] == round(109 / 101 - 1, 3)
    assert figures["lanes_files_growth"] == 0


@pytest.mark.thorough
def test_graphs_are_drawn_of_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("altair")
    monkeypatch.setattr(report, "GRAPHS", tmp_path)
    rates = dict.fromkeys((f"{name}_at_100" for name in ("sent_per_second", *report.MEASURES)), 10.0)
    report.draw({"job_j": {"raw_per_second": 3, "worker_per_second": 2}, "posting": rates})
    assert {path.stem for path in tmp_path.glob("*.svg")} >= {"job_j", "posting"}
