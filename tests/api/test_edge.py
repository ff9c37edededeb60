"""What holds for every route: headers for browsers, other origins, and what logs may never say."""

import asyncio
import re
from typing import Any

import pytest

from api.cors import origins
from api.manners import NOTHING_LOADED, SECURITY
from tests.api.callers import Api, Caller, logged, until
from tests.api.serving import serving
from tests.api.test_contracts import operations
from tests.api.test_tokens import bad_tokens

PAGE = "https://page.example"
ROUTES = sorted({(re.sub(r"{\w+}", "x", path), method.upper()) for path, method, _ in operations()})


# --- headers for browsers -------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_every_route_says_what_browsers_may_do_with_its_answer(door: Api, path: str, method: str) -> None:
    for caller in (door.nobody(), door.user("ann")):
        headers = caller.request(method, path, json={} if method == "POST" else None).headers
        assert {name: headers[name] for name in SECURITY} == SECURITY
        policy = headers["Content-Security-Policy"]
        assert policy == NOTHING_LOADED or path.startswith(("/docs", "/problems"))
        assert "unsafe" not in policy
        for directive in ("default-src", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"):
            assert directive in policy
        assert not headers.get("Server")
        assert headers["X-Request-Id"]


async def test_where_the_public_address_is_https_every_answer_keeps_browsers_there(door: Api) -> None:
    async with serving(door.settings.model_copy(update={"api_url": "https://erp.example"})) as port:
        nobody = Caller(f"http://127.0.0.1:{port}", None)
        for path in ("/health", "/nowhere", "equipment"):
            answer = await asyncio.to_thread(nobody.get, path)
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


# --- pages of other origins -----------------------------------------------------------------------------------------

PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


async def crossed(door: Api, allowed: str, origin: str, method: str = "GET", **more: str) -> dict[str, str]:
    """Headers on access control of the answer to a page of that origin."""
    async with serving(door.settings.model_copy(update={"cors_origins": allowed})) as port:
        caller = Caller(f"http://127.0.0.1:{port}", None)
        answer = await asyncio.to_thread(caller.request, method, "equipment", {"Origin": origin, **more})
    assert answer.status_code in (204, 401)
    return {
        name: value for name, value in answer.headers.items() if name.startswith("Access-Control") or name == "Vary"
    }


async def test_pages_of_other_origins_may_do_nothing_unless_a_setting_names_them(door: Api) -> None:
    assert await crossed(door, "", PAGE) == {}
    assert await crossed(door, "", PAGE, "OPTIONS", **PREFLIGHT) == {}
    assert await crossed(door, PAGE, "https://mallory.example") == {"Vary": "Origin"}
    assert await crossed(door, PAGE, f"{PAGE}.mallory.example", "OPTIONS", **PREFLIGHT) == {"Vary": "Origin"}
    assert await crossed(door, PAGE, "null") == {"Vary": "Origin"}


async def test_a_page_that_is_named_reads_answers_and_sends_what_we_read_without_cookies(door: Api) -> None:
    headers = await crossed(door, f"http://localhost:3000, {PAGE}", PAGE)
    assert headers["Access-Control-Allow-Origin"] == PAGE
    assert "RateLimit" in headers["Access-Control-Expose-Headers"]
    preflight = await crossed(door, PAGE, PAGE, "OPTIONS", **PREFLIGHT)
    assert preflight["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS, POST"
    assert "Idempotency-Key" in preflight["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in headers | preflight


@pytest.mark.parametrize("text", ["*", "https://*.example", "page.example", "https://page.example/", "null"])
def test_what_is_no_origin_is_refused_as_a_setting(text: str) -> None:
    with pytest.raises(ValueError):
        origins(text)


# --- logs -----------------------------------------------------------------------------------------------------------


def test_logs_tell_of_requests_and_never_a_secret(world: Api) -> None:
    ann, secret = world.user("ann"), "correct-horse-battery-staple"
    log = world.settings.directory / "api.log"
    tokens = [str(ann.token), *bad_tokens(world.settings).values()]
    for token in tokens:
        Caller(world.url, token).get("equipment", {"X-Request-Id": "with-secrets"})
    ann.post("auth/login", {"password": secret}, {"Cookie": f"session={secret}"})
    ann.post("equipment", {"password": secret, "name": secret})
    ann.get("equipment", {"Authorization": f"Basic {secret}"}, q=secret)
    ann.get(f"/nowhere/{secret}", {"X-Request-Id": "the-last", "X-Api-Key": secret})
    until(lambda: [line for line in logged(log, "request") if line["request"] == "the-last"], "the log line")
    text = log.read_text()
    assert secret not in text
    assert not [token for token in tokens if token in text or token.split(".")[1] in text]


def test_a_line_in_the_log_names_nobody_but_who_asked(world: Api) -> None:
    ann = world.user("ann")
    session: dict[str, Any] = {"session": ann.session}  # the same connection for both
    ann.get("companies", {"X-Request-Id": "of-ann"})
    Caller(world.url, None, **session).get("companies", {"X-Request-Id": "of-nobody"})
    log = world.settings.directory / "api.log"
    lines = until(lambda: found if len(found := lines_of(log, ("of-ann", "of-nobody"))) == 2 else None, "both lines")
    assert (lines["of-ann"]["actor"], lines["of-ann"]["company"]) == ("user:ann", "acme")
    assert "actor" not in lines["of-nobody"]


def lines_of(log: Any, ids: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    return {line["request"]: line for line in logged(log, "request") if line["request"] in ids}
