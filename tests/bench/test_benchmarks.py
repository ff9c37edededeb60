"""Each benchmark runs and gives its figures, at sizes that say nothing about speed."""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from bench import job_j, listing, posting, quix, rebuilding, soak, takeover, two_workers
from bench.targets import BY_FIGURE
from topics.settings import Settings

TINY: dict[str, Callable[[Settings], Awaitable[dict[str, float]]]] = {
    "job_j": partial(job_j.run, count=300, rounds=1),
    "listing": partial(listing.run, machines=2000, reads=30),
    "posting": partial(posting.run, rates=(20, 40), seconds=1),
    "rebuilding": partial(rebuilding.run, events=600),
    "soak": partial(soak.soak, minutes=0.1, rate=20, remembered=100),
    "takeover": partial(takeover.run, machines=200, settle=0),
    "two_workers": partial(two_workers.run, count=2000, rounds=1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
async def test_a_benchmark_gives_its_figures(name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "SAMPLES", settings.directory / "soak.csv")
    patient = settings.model_copy(update={"session_seconds": 15.0})  # other tests may take the processor for seconds
    figures = await TINY[name](patient)
    shall_be = {figure for benchmark, figure in BY_FIGURE if benchmark == name}
    assert shall_be <= figures.keys() | ({"quix_ratio"} if not quix.installed() else set())
    assert all(value >= 0 for figure, value in figures.items() if "growth" not in figure and "beyond" not in figure)
