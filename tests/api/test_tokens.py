"""Who may come in: tokens that are ours, and those that are not."""

import base64
import hashlib
import hmac
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from api.tokens import (
    BadToken,
    NoSigningKey,
    Principal,
    accepted_keys,
    as_jwks,
    key_id,
    mint,
    signing_key,
    verifier,
    verify,
)
from domain.decider import Actor
from tests.api.callers import Api, Caller
from topics.settings import Settings

ANN = Actor("user", "ann")


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    return Settings(directory=tmp_path / "stack")


def pem(key: Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_user_is_known_by_his_token(own: Settings) -> None:
    assert verify(own, accepted_keys(own), mint(own, ANN, "acme")) == Principal(ANN, "acme")


def test_an_operator_belongs_to_no_company(own: Settings) -> None:
    root = Actor("operator", "root")
    assert verify(own, accepted_keys(own), mint(own, root, None)) == Principal(root, None)


@pytest.mark.parametrize(("actor", "company"), [(ANN, None), (Actor("operator", "root"), "acme"), (ANN, "A B")])
def test_no_token_is_made_for_somebody_who_cannot_be(own: Settings, actor: Actor, company: str | None) -> None:
    with pytest.raises(ValueError):
        mint(own, actor, company)


def test_the_stacks_own_key_is_made_once_and_for_its_owner_alone(own: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: key_id(signing_key(own).public_key()), range(32)))
    assert len(keys) == 1
    assert [path.name for path in own.directory.iterdir()] == ["token-key.pem"]
    assert (own.directory / "token-key.pem").stat().st_mode & 0o777 == 0o600


def test_keys_of_the_settings_count_instead_of_the_stacks_own(tmp_path: Path) -> None:
    old, new = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    settings = Settings(
        directory=tmp_path, token_private_key=pem(new), token_public_keys=public_pem(old) + public_pem(new)
    )
    assert set(accepted_keys(settings)) == {key_id(old.public_key()), key_id(new.public_key())}
    assert verify(settings, accepted_keys(settings), mint(settings, ANN, "acme")).company_id == "acme"
    assert not (tmp_path / "token-key.pem").exists()


def test_a_key_is_replaced_without_anybody_noticing(tmp_path: Path) -> None:
    old, new = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    before, during, after, done = (
        Settings(directory=tmp_path, token_private_key="".join(map(pem, keys)))
        for keys in ((old,), (old, new), (new, old), (new,))
    )
    for signs, others in ((before, (during,)), (during, (before, after)), (after, (during, done))):
        token = mint(signs, ANN, "acme")
        for settings in (signs, *others):
            assert verify(settings, accepted_keys(settings), token) == Principal(ANN, "acme")
    with pytest.raises(BadToken, match="not known here"):
        verify(done, accepted_keys(done), mint(before, ANN, "acme"))
    assert [key["kid"] for key in as_jwks(accepted_keys(during))["keys"]] == [
        key_id(old.public_key()),
        key_id(new.public_key()),
    ]


def test_a_published_key_verifies_tokens_in_anybody_s_hands(own: Settings) -> None:
    (published,) = as_jwks(accepted_keys(own))["keys"]
    claims = jwt.decode(mint(own, ANN, "acme"), jwt.PyJWK(published), ["EdDSA"], audience="bitcorp-api")
    assert claims["sub"] == "ann"


def test_a_token_names_its_session(own: Settings) -> None:
    token = mint(own, ANN, "acme", session="a" * 32)
    assert verify(own, accepted_keys(own), token) == Principal(ANN, "acme", "a" * 32)


def test_a_token_that_was_good_expires_all_the_same(own: Settings) -> None:
    now = datetime.now(UTC)
    clock = iter((now, now + timedelta(hours=1, seconds=29), now + timedelta(hours=1, seconds=31)))
    verified, token = verifier(own, accepted_keys(own), lambda: next(clock)), mint(own, ANN, "acme")
    assert verified(token) == verified(token) == Principal(ANN, "acme")
    with pytest.raises(BadToken, match="has expired"):
        verified(token)


def test_what_is_no_key_is_named(tmp_path: Path) -> None:
    for text in ("nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"):
        with pytest.raises(NoSigningKey, match="no key in PEM"):
            accepted_keys(Settings(directory=tmp_path, token_private_key=text))


def test_who_has_only_the_public_key_makes_no_tokens(tmp_path: Path) -> None:
    settings = Settings(directory=tmp_path, token_public_keys=public_pem(Ed25519PrivateKey.generate()))
    with pytest.raises(NoSigningKey, match="BITCORP_TOKEN_PRIVATE_KEY"):
        mint(settings, ANN, "acme")


def bad_tokens(settings: Settings) -> dict[str, str]:
    """Tokens that each differ from a good one in one point."""
    key = signing_key(settings)
    now = datetime.now(UTC)
    claims: dict[str, Any] = {
        "iss": settings.token_issuer,
        "aud": settings.token_audience,
        "sub": "ann",
        "actor": "user",
        "company": "acme",
        "iat": now,
        "exp": now + timedelta(hours=1),
    }
    header = {"typ": "at+jwt", "kid": key_id(key.public_key())}

    def made(changes: dict[str, Any] | None = None, head: dict[str, Any] | None = None) -> str:
        plain = {name: value for name, value in (claims | (changes or {})).items() if value is not None}
        return jwt.encode(plain, key, "EdDSA", headers=header | (head or {}))

    def unsigned() -> str:
        body = made().split(".")[1]
        return ".".join([_segment(header | {"alg": "none"}), body, ""])

    def confused() -> str:
        """HS256 with the public key as its secret; signed by hand, since the library refuses to."""
        head, body = _segment(header | {"alg": "HS256"}), made().split(".")[1]
        secret = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        mac = hmac.new(secret, f"{head}.{body}".encode(), hashlib.sha256).digest()
        return f"{head}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"

    def flipped() -> str:
        head, body, signature = made().split(".")
        return ".".join([head, body, ("B" if signature[0] == "A" else "A") + signature[1:]])

    return {
        "alg none": unsigned(),
        "HS256 with the public key": confused(),
        "another issuer": made({"iss": "mallory"}),
        "another audience": made({"aud": "another-api"}),
        "another typ": made(head={"typ": "id+jwt"}),
        "expired": made({"exp": now - timedelta(minutes=5)}),
        "not valid yet": made({"nbf": now + timedelta(minutes=5)}),
        "without exp": made({"exp": None}),
        "unknown kid": made(head={"kid": "0123456789abcdef"}),
        "jku": made(head={"jku": "https://mallory.example/keys"}),
        "jwk": made(head={"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}}),
        "a bit flipped": flipped(),
        "16 kB": made({"padding": "x" * 12_000}),
    }


def _segment(plain: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


NAMES = list(bad_tokens(Settings(token_private_key=pem(Ed25519PrivateKey.generate()))))


@pytest.mark.parametrize("name", NAMES)
def test_a_token_that_is_not_ours_opens_nothing(own: Settings, name: str) -> None:
    with pytest.raises(BadToken):
        verify(own, accepted_keys(own), bad_tokens(own)[name])


@pytest.mark.parametrize("name", NAMES)
def test_over_http_a_bad_token_is_answered_by_401_and_a_challenge(door: Api, name: str) -> None:
    token = bad_tokens(door.settings)[name]
    answer = Caller(door.url, token).get("equipment")
    if name == "16 kB":  # the server takes no header of that size
        assert answer.status_code == 431
    else:
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        assert answer.json()["code"] == "token-refused"
    assert token not in answer.text


WRONG_CLAIMS = [{"sub": "a b"}, {"actor": "system"}, {"company": None}, {"company": "A/B"}, {"sid": "x"}]


@pytest.mark.parametrize("claims", WRONG_CLAIMS)
def test_claims_that_name_nobody_open_nothing(own: Settings, claims: dict[str, Any]) -> None:
    key, now = signing_key(own), datetime.now(UTC)
    plain = {"iss": "bitcorp", "aud": "bitcorp-api", "sub": "ann", "actor": "user", "company": "acme"} | claims
    found = {name: value for name, value in plain.items() if value} | {"exp": now + timedelta(hours=1)}
    token = jwt.encode(found, key, "EdDSA", headers={"typ": "at+jwt", "kid": key_id(key.public_key())})
    with pytest.raises(BadToken):
        verify(own, accepted_keys(own), token)


def test_without_a_token_the_challenge_says_bearer(door: Api) -> None:
    answer = door.nobody().get("equipment")
    assert (answer.status_code, answer.json()["code"]) == (401, "token-missing")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="bitcorp"'
