"""Every refusal code can happen, and the page of codes is as the code has it."""

import re
from pathlib import Path

import pytest

from domain import REALMS
from domain.decider import Kind, Refusal
from domain.rejections import page

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"

#: Refusals of the lane, which remembers command ids, checks signatures and reports bugs: told in tests/agents.
OF_THE_LANE = {"id-reused", "unauthenticated", "failed"}


def told() -> set[str]:
    """The codes that a test of the domain expects; each of these fails unless the code is the answer."""
    tests = [path.read_text() for path in HERE.glob("test_*.py")]
    return {code for test in tests for code in re.findall(r'then_(?:rejected|refused_but)\(\s*"([a-z-]+)"', test)}


#: Nothing can be asked of such an aggregate yet but to be created.
ONLY_CREATED = {
    decider.unknown.code
    for realm in REALMS.values()
    for decider in realm.deciders
    if all(rule.creates for rule in decider.rules.values())
}


@pytest.mark.parametrize("code", sorted(Refusal.known.keys() - OF_THE_LANE - (ONLY_CREATED - told())))
def test_a_refusal_is_triggered_by_some_test(code: str) -> None:
    assert code in told()


@pytest.mark.parametrize("refusal", Refusal.known.values(), ids=lambda refusal: refusal.code)
def test_a_refusal_has_a_readable_code_and_a_sentence(refusal: Refusal) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", refusal.code)
    assert refusal.meaning.endswith(".")
    assert refusal.kind in Kind


def test_the_page_of_refusals_is_up_to_date() -> None:
    written = (DOCS / "rejections.md").read_text()
    assert written == page(), "write it anew: python -m domain.rejections > docs/rejections.md"
