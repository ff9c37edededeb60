"""Records of the audit: what they take from outcomes, whom they believe, and how they hang together."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.engine import NO_CHAIN
from domain.record import Audited, Status, Void
from tests.topics.samples import NOW, outcome, outcome_record
from topics.audit import audited, progress, read_audited, write_audited
from topics.cloudevents import Malformed, Record, read
from topics.messages import LONGEST_ATTRIBUTE, chain_of
from topics.origin import Origin

ORIGIN = "203.0.113.7 user:ada Mozilla/5.0 (X11)"
UNPROVED = {"status": Status.REJECTED, "code": "unauthenticated", "kind": "unauthenticated", "conflict": True}


def told(**changes: Any) -> Audited:
    return audited("business", outcome_record(outcome(**changes)))


def written(entry: Audited, position: int = 1, chain: bytes = NO_CHAIN) -> tuple[Record, bytes]:
    record, linked = write_audited(entry, "erp.audit", position, {"business": 8, "credentials": 3}, chain)
    return record._replace(offset=position - 1), linked


def test_an_outcome_is_told_without_its_words() -> None:
    entry = told(detail="EQ-1 is taken", errors=({"field": "name"},), status=Status.REJECTED, code="name-taken")
    assert entry == Audited(
        realm="business",
        partition=2,
        sequence=9,
        command_id=outcome().command_id,
        type=outcome().type,
        company_id="acme",
        aggregate="category",
        aggregate_id="excavators",
        actor="user:ada",
        status=Status.REJECTED,
        code="name-taken",
        first=5,
        last=5,
        fingerprint=outcome().fingerprint,
        correlation_id="order-66",
        recorded_at=NOW,
    )


@pytest.mark.parametrize(
    ("said", "key_id", "process_id", "address"),
    [
        ({"signed_by": "process:api-1"}, None, "api-1", "203.0.113.7"),
        ({"signed_by": "process:api-1", "actor": "key:plant-4"}, "plant-4", "api-1", "203.0.113.7"),
        ({"signed_by": "key:plant-4", "actor": "key:plant-4"}, "plant-4", None, None),
        ({}, None, None, "203.0.113.7"),
        ({"signed_by": "key:plant-4"} | UNPROVED, "plant-4", None, None),
        ({"signed_by": "process:api-1"} | UNPROVED, None, "api-1", None),
        (UNPROVED, None, None, None),
        ({"signed_by": "nonsense"}, None, None, "203.0.113.7"),
    ],
)
def test_an_address_is_believed_of_processes_of_the_platform_alone(
    said: dict[str, Any], key_id: str | None, process_id: str | None, address: str | None
) -> None:
    entry = told(origin=ORIGIN, **said)
    assert (entry.key_id, entry.process_id, entry.address) == (key_id, process_id, address)
    assert entry.user_agent == ("Mozilla/5.0 (X11)" if address else None)


def test_what_the_api_sends_for_somebody_is_told_as_theirs_and_nobody_else_can_be_named_so() -> None:
    assert told(actor="system:api", origin=ORIGIN).actor == "user:ada"
    assert told(actor="system:api", origin="203.0.113.7 - curl").actor == "system:api"
    assert told(actor="user:eve", origin=ORIGIN).actor == "user:eve"
    assert told(actor="system:api", origin=ORIGIN, **UNPROVED).actor == "system:api"


def test_a_record_reads_as_it_was_written_and_links_to_the_one_before_it() -> None:
    first, chain = written(told())
    second, linked = written(told(origin=ORIGIN), 2, chain)
    assert read_audited(second) == told(origin=ORIGIN)
    assert chain_of(second, chain) == linked
    assert read(second).attributes["chain"] == linked.hex() != read(first).attributes["chain"]
    assert progress(read(second).attributes) == {"business": 8, "credentials": 3}


def test_a_record_at_another_offset_is_void_and_one_that_cannot_be_read_is_malformed() -> None:
    record, _ = written(told())
    assert read_audited(record._replace(offset=4)) == Void()
    with pytest.raises(Malformed):
        read_audited(record._replace(value=b"{}"))


def test_the_same_outcome_has_the_same_id_and_another_one_another() -> None:
    ids = {read(written(entry)[0]).attributes["id"] for entry in (told(), told(), told(partition=3))}
    assert len(ids) == 2


@given(
    st.builds(
        Origin,
        st.ip_addresses().map(str) | st.just(""),
        st.from_regex(r"user:[a-z0-9]{1,64}", fullmatch=True) | st.just(""),
        st.text(max_size=300),
    )
)
def test_an_origin_is_a_plain_attribute_of_which_address_and_caller_are_read_again(origin: Origin) -> None:
    text = str(origin)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= LONGEST_ATTRIBUTE
    assert Origin.parse(text)[:2] == origin[:2]
