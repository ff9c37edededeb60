"""People who come in with tokens of another provider of identities."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from api import oidc
from api.oidc import Provider, is_safe
from api.problems import Problem
from api.tokens import BadToken
from tests.api.callers import Api, Caller, open_company, until
from tests.api.provider import AUDIENCE, SUBJECT, LocalProvider, bad_tokens, providing
from tests.api.serving import serving
from tests.api.test_door import problem
from topics.settings import Settings


def provider_of(local: LocalProvider, **more: Any) -> Provider:
    return Provider(Settings(oidc_issuer=local.issuer, oidc_audience=AUDIENCE, **more))


# --- tokens ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["first", "rsa", "okp"])
async def test_a_token_is_verified_by_the_keys_that_its_provider_publishes(name: str) -> None:
    async with providing() as local:
        found = await provider_of(local).verify(local.token(name))
    assert (found.issuer, found.subject) == (local.issuer, SUBJECT)


async def test_keys_are_found_by_discovery_or_where_a_setting_says() -> None:
    async with providing() as local:
        await provider_of(local).verify(local.token())
        await provider_of(local, oidc_jwks_url=f"{local.issuer}/keys").verify(local.token())
        assert local.asked == {oidc.DISCOVERY: 1, "/keys": 2}


async def test_a_token_that_is_not_the_provider_s_opens_nothing() -> None:
    async with providing() as local:
        provider = provider_of(local)
        for name, token in bad_tokens(local).items():
            with pytest.raises(BadToken):
                await provider.verify(token)
                pytest.fail(name)
        assert (await provider.verify(local.token())).subject == SUBJECT


# --- keys -----------------------------------------------------------------------------------------------------------


async def test_keys_are_fetched_once_for_all_who_come_at_the_same_time() -> None:
    async with providing() as local:
        provider = provider_of(local)
        await asyncio.gather(*(provider.verify(local.token(name)) for name in ("first", "rsa", "okp") * 10))
        assert local.asked["/keys"] == 1


async def test_a_key_that_is_new_is_fetched_and_one_that_is_gone_counts_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(oidc, "LEAST_SECONDS", 0.0)
    async with providing() as local:
        provider, old = provider_of(local), local.token("first")
        await provider.verify(old)
        del local.keys["first"]
        local.add("second")
        await provider.verify(local.token("second"))
        with pytest.raises(BadToken):
            await provider.verify(old)


async def test_made_up_names_of_keys_fetch_nothing_before_the_least_time_is_over() -> None:
    async with providing() as local:
        provider = provider_of(local)
        await provider.verify(local.token())
        for number in range(20):
            with pytest.raises(BadToken):
                await provider.verify(local.token(head={"kid": f"made-up-{number}"}))
        assert local.asked["/keys"] == 1


async def test_keys_that_were_fetched_serve_while_the_provider_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc, "LEAST_SECONDS", 0.0)
    async with providing() as local:
        provider = provider_of(local)
        await provider.verify(local.token())
        monkeypatch.setattr(oidc, "KEPT_SECONDS", 0.0)
        local.answers = False
        assert (await provider.verify(local.token())).subject == SUBJECT


async def test_a_provider_that_was_never_reached_is_away() -> None:
    async with providing() as local:
        local.answers = False
        with pytest.raises(Problem) as refused:
            await provider_of(local).verify(local.token())
        assert refused.value.type.code == "identity-provider-away"


@pytest.mark.parametrize(
    "told", [{"issuer": "https://mallory.example"}, {"jwks_uri": "http://mallory.example/keys"}, {"jwks_uri": None}]
)
async def test_a_configuration_of_another_or_with_an_unsafe_address_is_not_followed(told: dict[str, Any]) -> None:
    async with providing() as local:
        local.configuration = told
        with pytest.raises(Problem):
            await provider_of(local).verify(local.token())
        assert "/keys" not in local.asked


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("https://login.example", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]/keys", True),
        ("http://localhost/keys", True),
        ("http://login.example", False),
        ("http://127.0.0.1.mallory.example", False),
        ("http://10.0.0.1", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("", False),
    ],
)
def test_only_https_and_this_machine_are_safe(address: str, safe: bool) -> None:
    assert is_safe(address) is safe


@pytest.mark.parametrize("more", [{"oidc_issuer": "http://login.example"}, {"oidc_jwks_url": "http://login.example"}])
def test_an_unsafe_address_is_refused_as_a_setting(more: dict[str, str]) -> None:
    plain = {"oidc_issuer": "https://login.example", "oidc_audience": AUDIENCE}
    with pytest.raises(ValueError):
        Provider(Settings(**plain | more))


def test_a_provider_without_an_audience_is_refused_as_a_setting() -> None:
    with pytest.raises(ValueError, match="BITCORP_OIDC_AUDIENCE"):
        Provider(Settings(oidc_issuer="https://login.example"))


# --- over HTTP ------------------------------------------------------------------------------------------------------


@pytest.fixture
def firm(world: Api) -> str:
    company = f"oidc-{uuid4().hex[:8]}"
    open_company(world, company, "ada")
    return company


def trusting(world: Api, local: LocalProvider, **more: str) -> Settings:
    return world.settings.model_copy(update={"oidc_issuer": local.issuer, "oidc_audience": AUDIENCE, **more})


async def test_who_is_linked_by_an_admin_comes_in_and_nobody_else_does(world: Api, firm: str) -> None:
    ada = world.user("ada", firm)
    async with providing() as local, serving(trusting(world, local)) as port:
        caller = Caller(f"http://127.0.0.1:{port}", local.token(email="ada@example.com"))

        def asked(company: str | None = firm) -> Any:
            return caller.get("me", {"Bitcorp-Company": company} if company else {})

        problem(await asyncio.to_thread(asked), 403, "not-permitted")  # an address that is the same links nobody
        link = {"issuer": local.issuer, "subject": SUBJECT}
        linked = await asyncio.to_thread(ada.do, "users/ada/link-identity", link)
        assert linked.status_code == 200, linked.text
        await asyncio.to_thread(until, lambda: asked().status_code == 200, "the view shows the link")
        told = (await asyncio.to_thread(asked)).json()
        assert (told["actor"], told["company_id"]) == ("user:ada", firm)
        shown = await asyncio.to_thread(ada.get, "users/ada")
        assert (shown.json()["identity_issuer"], shown.json()["identity_subject"]) == (local.issuer, SUBJECT)
        problem(await asyncio.to_thread(asked, "globex"), 403, "not-permitted")
        problem(await asyncio.to_thread(asked, "no-such-company"), 403, "not-permitted")
        problem(await asyncio.to_thread(asked, None), 400, "bad-header")
        problem(await asyncio.to_thread(asked, "A B'--"), 400, "bad-header")
        assert (await asyncio.to_thread(ada.do, "users/ada/unlink-identity", {})).status_code == 200
        await asyncio.to_thread(until, lambda: asked().status_code == 403, "the view shows that it is gone")


async def test_a_claim_names_the_company_where_a_setting_says_so(world: Api, firm: str) -> None:
    async with providing() as local, serving(trusting(world, local, oidc_company_claim="tenant")) as port:
        link = {"issuer": local.issuer, "subject": SUBJECT}
        await asyncio.to_thread(world.user("ada", firm).do, "users/ada/link-identity", link)
        url = f"http://127.0.0.1:{port}"
        caller, other = Caller(url, local.token(tenant=firm)), Caller(url, local.token(tenant="globex"))
        await asyncio.to_thread(until, lambda: caller.get("me").status_code == 200, "the view shows the link")
        problem(await asyncio.to_thread(other.get, "me", {"Bitcorp-Company": firm}), 403, "not-permitted")
        nameless = Caller(url, local.token())
        problem(await asyncio.to_thread(nameless.get, "me", {"Bitcorp-Company": firm}), 400, "bad-header")


async def test_over_http_a_bad_token_of_the_provider_is_answered_by_401_and_a_challenge(door: Api) -> None:
    async with providing() as local:
        settings = door.settings.model_copy(update={"oidc_issuer": local.issuer, "oidc_audience": AUDIENCE})
        async with serving(settings) as port:
            for name, token in bad_tokens(local).items():
                caller = Caller(f"http://127.0.0.1:{port}", token)
                answer = await asyncio.to_thread(caller.get, "me", {"Bitcorp-Company": "acme"})
                assert answer.status_code == 401, (name, answer.text)
                assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
                assert token not in answer.text


async def test_our_own_tokens_count_beside_those_of_the_provider(door: Api) -> None:
    async with providing() as local:
        settings = door.settings.model_copy(update={"oidc_issuer": local.issuer, "oidc_audience": AUDIENCE})
        async with serving(settings) as port:
            ours = await asyncio.to_thread(Caller(f"http://127.0.0.1:{port}", door.user("ann").token).get, "equipment")
    problem(ours, 503, "database-away")  # past the door
    assert local.asked == {}
