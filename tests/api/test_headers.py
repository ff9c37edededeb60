"""What request headers say."""

from uuid import UUID

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from api import headers
from api.problems import Problem


def given(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


def key(text: str, scope: str = "acme:user:ann") -> UUID:
    return headers.command_id(given(("Idempotency-Key", text)), scope)


def test_a_uuid_is_the_command_id_itself_bare_or_quoted() -> None:
    text = "0197c7a8-5f6e-7d3a-9b1c-2d3e4f5a6b7c"
    assert key(text) == key(f'"{text}"') == UUID(text)


def test_another_text_stands_for_one_id_of_its_sender() -> None:
    assert key("order 7") == key('"order 7"') == key(" order 7 ")
    assert key("order 7") != key("order 8")
    assert key("order 7") != key("order 7", "acme:user:bob")


def test_quotes_and_backslashes_are_written_escaped() -> None:
    assert key(r'"a\"b\\c"') == key(r'a"b\c')


@pytest.mark.parametrize("text", ["", '""', "x" * 256, "schlüssel", "a\tb"])
def test_a_key_that_is_empty_long_or_not_printable_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="Idempotency-Key"):
        key(text)


def test_without_a_key_every_request_is_a_command_of_its_own_whose_id_tells_its_time() -> None:
    first, second = (headers.command_id(given(), "acme:user:ann") for _ in range(2))
    assert first != second
    assert first.version == 7


def test_two_keys_mean_nothing() -> None:
    with pytest.raises(Problem, match="2 times"):
        headers.command_id(given(("Idempotency-Key", "a"), ("Idempotency-Key", "b")), "")


@pytest.mark.parametrize(
    ("prefer", "wait", "applied"),
    [
        ("wait=5", 5, "wait=5"),
        ("wait=500", 30, "wait=30"),
        ('respond-async, wait="3"; x=y', 3, "wait=3, respond-async"),
        ("respond-async", None, "respond-async"),
        ("wait=0", 0, "wait=0"),
        ("wait=2, wait=9", 2, "wait=2"),
        ("wait=-1", None, ""),
        ("wait=soon, return=minimal", None, ""),
        ("", None, ""),
    ],
)
def test_preferences_are_followed_as_far_as_they_can_be(prefer: str, wait: int | None, applied: str) -> None:
    found = headers.preference(given(("Prefer", prefer)), 30)
    assert found.wait == wait
    assert found.headers.get("Preference-Applied", "") == applied


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('"3-b5bb9d80"', 3),
        ('"3"', 3),
        ("*", None),
        ('"3-aa", "3-bb"', 3),
        ('"elsewhere", "3-aa"', 3),
        ('W/"1", "3"', 3),
    ],
)
def test_if_match_names_a_version(text: str, version: int | None) -> None:
    assert headers.expected_version(given(("If-Match", text))) == version


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('W/"3-aa"', "version-conflict"),
        ('"elsewhere"', "version-conflict"),
        ('"9999999999999999999"', "version-conflict"),
        ('"3", "4"', "bad-header"),
        ("3", "bad-header"),
        ('"3', "bad-header"),
        ("", "bad-header"),
    ],
)
def test_if_match_that_can_match_nothing_or_says_two_things_is_refused(text: str, code: str) -> None:
    with pytest.raises(Problem) as refused:
        headers.expected_version(given(("If-Match", text)))
    assert refused.value.type.code == code


@pytest.mark.parametrize(
    ("accept", "taken"),
    [
        (None, True),
        ("*/*", True),
        ("application/*;q=0.1", True),
        ("text/html, application/json", True),
        ("text/html", False),
        ("*/*, application/json;q=0", False),
        ("application/json;q=nonsense", False),
    ],
)
def test_accept_takes_json_or_does_not(accept: str | None, taken: bool) -> None:
    found = given(("Accept", accept)) if accept is not None else given()
    assert headers.accepts(found, "application/json") is taken


@pytest.mark.parametrize(("text", "position"), [("3:17", (3, 17)), (None, None)])
def test_consistency_names_partition_and_position(text: str | None, position: tuple[int, int] | None) -> None:
    assert headers.position(given(("Consistency", text)) if text else given()) == position


@pytest.mark.parametrize("text", ["", "3", "3:", "a:b", "-1:5", "3:17, 4:2", "9" * 30 + ":1"])
def test_a_position_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="Consistency"):
        headers.position(given(("Consistency", text)))


def test_ids_of_the_caller_are_kept_where_they_do_no_harm() -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert headers.request_id(given(("X-Request-Id", "req-42"))) == "req-42"
    assert headers.traceparent(given(("traceparent", trace))) == trace


@pytest.mark.parametrize("text", ["a\nb", "x" * 129, "", "<script>"])
def test_other_ids_are_replaced(text: str) -> None:
    assert headers.request_id(given(("X-Request-Id", text))) != text
    assert headers.traceparent(given(("traceparent", f"00-{'0' * 32}-{'0' * 16}-01"))) != f"00-{'0' * 32}-{'0' * 16}-01"
