"""Dead letters are discarded by admins, with a reason, and may be counted among the open ones again."""

import pytest

from domain.letter import DiscardLetter, LetterDiscarded, LetterReopened, ReopenLetter
from tests.domain.acme import ACME, MAX, TESS
from tests.domain.scenario import given

SAID = {"letter_id": "commands-3-17", "reason": "its sender has sent it anew"}
REOPENED = LetterReopened(letter_id="commands-3-17")


def test_an_admin_discards_a_letter_once_and_the_first_reason_stays() -> None:
    again = DiscardLetter(letter_id="commands-3-17", reason="a typing error")
    given(ACME).when(DiscardLetter(**SAID)).then(LetterDiscarded(**SAID)).when(again).then_nothing()


def test_a_discarded_letter_is_reopened_once_and_may_be_discarded_again() -> None:
    reopen = ReopenLetter(letter_id="commands-3-17")
    story = given(ACME, LetterDiscarded(**SAID)).when(reopen).then(REOPENED)
    story.when(reopen).then_nothing()
    story.when(DiscardLetter(**SAID)).then(LetterDiscarded(**SAID))


def test_what_was_never_discarded_is_not_reopened() -> None:
    given(ACME).when(ReopenLetter(letter_id="commands-3-17")).then_rejected("letter-unknown")


@pytest.mark.parametrize("actor", [MAX, TESS])
def test_only_admins_decide_about_letters(actor: str) -> None:
    given(ACME).when(DiscardLetter(**SAID), by=actor).then_rejected("forbidden")
