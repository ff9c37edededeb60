"""Processes of the platform: admitted and dismissed in its own companies, by operators alone."""

import pytest

from domain.category import DefineCategory
from domain.decider import Actor
from domain.platform import AdmitProcess, DismissProcess, Process, ProcessAdmitted, ProcessDismissed
from tests.domain.acme import ACME, ADA, OPERATOR
from tests.domain.samples import ADMITTED
from tests.domain.scenario import Story, given

ADMIT = AdmitProcess(**ADMITTED.model_dump(exclude={"effective_at"}))
DISMISS = DismissProcess(process_id="api-1", reason="replaced")
DISMISSED = ProcessDismissed(process_id="api-1", reason="replaced")


def own(*events: ProcessAdmitted | ProcessDismissed) -> Story:
    return given(*events, company="_platform-1")


def test_a_process_is_admitted_once_and_again_with_another_key() -> None:
    story = own().when(ADMIT, by=OPERATOR).then(ADMITTED)
    story.when(ADMIT, by=OPERATOR).then_nothing()
    other = {"public_key": "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo"}
    story.when(ADMIT.model_copy(update=other), by=OPERATOR).then(ADMITTED.model_copy(update=other))


def test_a_process_is_dismissed_once() -> None:
    own(ADMITTED).when(DISMISS, by=OPERATOR).then(DISMISSED).when(DISMISS, by=OPERATOR).then_nothing()
    own().when(DISMISS, by=OPERATOR).then_rejected("platform-unknown")


def test_nobody_else_admits_processes() -> None:
    for command in (ADMIT, DISMISS):
        own(ADMITTED).when(command, by=ADA).then_rejected("forbidden")


def test_a_company_of_others_has_no_processes_and_the_platform_s_own_nothing_else() -> None:
    given(ACME).when(ADMIT, by=OPERATOR).then_rejected("invalid")
    own().when(DefineCategory(category_id="cranes", name="Cranes"), by=OPERATOR).then_rejected("company-unknown")


@pytest.mark.parametrize(
    ("actor", "believed"),
    [
        ("user:ann", True),
        ("key:a", True),
        ("system:planner", True),
        ("system:importer", False),
        ("operator:x", False),
    ],
)
def test_a_process_speaks_for_the_actors_that_it_vouches_for(actor: str, believed: bool) -> None:
    process = Process(public_key="x", vouches=("key", "system:planner", "user"))
    assert process.speaks_for(Actor.parse(actor)) is believed
    assert not Process().speaks_for(Actor.parse(actor))
