"""Signatures of commands: test vectors that other systems can check theirs with, and another library's word on them."""

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from domain.decider import Actor
from tests.examples.scripts import load
from tests.topics.samples import command, command_record
from topics.cloudevents import Record
from topics.keys import base64url
from topics.messages import read_command, write_command
from topics.settings import Settings
from topics.signing import (
    BadSignature,
    check_ed25519,
    check_hmac,
    ed25519_signer,
    hmac_signer,
    parse,
    said,
    shared_secret,
    signer_named,
    signer_of,
)

#: RFC 8032, section 7.1, test 1.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
SENDER = bytes(range(32))
LANES = bytes(range(32, 64))

DATA = b'{"category_id":"excavators","name":"Excavators"}'
SENT = command(DATA, actor=Actor("key", "plant-4"))
LINES = b"""\
bitcorp-command-v1
0192f1c0-0000-7000-8000-000000000001
com.bitcorp.erp.category.define-category.v1
acme
category/excavators
key:plant-4
3
""" + hashlib.sha256(DATA).hexdigest().encode()

VECTOR = (
    "eyJhbGciOiJFZERTQSIsImtpZCI6InBsYW50LTQifQ.."
    "ddR0g7jbPvP0xg9g7esIM8jxhzOz__s0MgRs-fAHrXfXzkhAVgOMJo8_amyDgpoKKc3wRaKQX1m8xVHIDuR9Dw"
)


def public_of(private_key: bytes) -> str:
    return base64url(X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw())


SECRET = shared_secret(SENDER, public_of(LANES))


def test_what_is_signed_are_these_lines() -> None:
    assert said(SENT) == LINES
    assert said(SENT._replace(expected_version=None)) == LINES.replace(b"\n3\n", b"\n\n")


def test_another_library_takes_our_signature_with_the_payload_put_in() -> None:
    signed = ed25519_signer("plant-4", Ed25519PrivateKey.from_private_bytes(SEED))(SENT).signature or ""
    whole = signed.replace("..", f".{base64url(LINES)}.")
    found = jwt.PyJWS().decode(whole, Ed25519PrivateKey.from_private_bytes(SEED).public_key(), algorithms=["EdDSA"])
    assert found == LINES
    keyed = hmac_signer("api-1", SECRET)(SENT).signature or ""
    assert jwt.PyJWS().decode(keyed.replace("..", f".{base64url(LINES)}."), SECRET, algorithms=["HS256"]) == LINES


def test_we_take_the_signature_of_another_library() -> None:
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    token = jwt.PyJWS().encode(LINES, key, "EdDSA", headers={"kid": "plant-4", "typ": None})
    protected, _, signature = token.split(".")
    check_ed25519(SENT, parse(f"{protected}..{signature}"), PUBLIC)


def test_both_sides_derive_the_same_secret() -> None:
    assert shared_secret(LANES, public_of(SENDER)) == SECRET
    assert shared_secret(SENDER, public_of(SENDER)) != SECRET


def test_a_signature_travels_with_its_command() -> None:
    signed = hmac_signer("api-1", SECRET)(SENT)
    arrived = read_command(command_record(signed))
    assert arrived == signed
    check_hmac(arrived, parse(arrived.signature or ""), SECRET)


CHANGES = {
    "id": "0192f1c0-0000-7000-8000-000000000002",
    "type": "com.bitcorp.erp.category.rename-category.v1",
    "company_id": "globex",
    "aggregate": "part",
    "aggregate_id": "cranes",
    "actor": Actor("user", "ann"),
    "expected_version": 4,
    "data": DATA.replace(b"E", b"F"),
}


@pytest.mark.parametrize("field", CHANGES)
def test_nothing_that_decides_can_be_changed_afterwards(field: str) -> None:
    for signed, check in (
        (ed25519_signer("plant-4", Ed25519PrivateKey.from_private_bytes(SEED))(SENT), "ed25519"),
        (hmac_signer("api-1", SECRET)(SENT), "hmac"),
    ):
        changed, given = signed._replace(**{field: CHANGES[field]}), parse(signed.signature or "")
        with pytest.raises(BadSignature, match="does not fit"):
            check_ed25519(changed, given, PUBLIC) if check == "ed25519" else check_hmac(changed, given, SECRET)


def header(**fields: object) -> str:
    return urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "abc",
        f"{header(alg='none', kid='plant-4')}..",
        f"{header(alg='HS512', kid='plant-4')}..AA",
        f"{header(alg='EdDSA')}..AA",
        f"{header(alg='EdDSA', kid=7)}..AA",
        f"{header(alg='EdDSA', kid='x', jku='https://mallory.example')}..AA",
        f"{header(alg='EdDSA', kid='x')}..A",
        f"{base64url(b'[]')}..AA",
        f"{base64url(b'null')}..AA",
        f"{header(alg='EdDSA', kid='x')}..{'A' * 400}",
        "é..é",
    ],
)
def test_what_is_no_signature_of_ours_proves_nothing(text: str) -> None:
    with pytest.raises(BadSignature):
        parse(text)


def test_a_key_that_is_none_makes_no_secret() -> None:
    for wrong in (base64url(bytes(32)), "short", ""):
        with pytest.raises(BadSignature):
            shared_secret(SENDER, wrong)


def test_a_process_signs_with_the_key_of_its_settings_and_else_not_at_all() -> None:
    assert signer_of(Settings())(SENT) == SENT
    settings = Settings(signing_key=f"api-1:{base64url(SENDER)}", lanes_public_key=public_of(LANES))
    signed = signer_of(settings)(SENT)
    assert signed == hmac_signer("api-1", SECRET)(SENT)
    assert signer_of(settings)(signed) is signed
    assert base64url(SENDER) not in repr(settings)


def test_the_test_vector() -> None:
    """The one of docs/signing.md."""
    signed = ed25519_signer("plant-4", Ed25519PrivateKey.from_private_bytes(SEED))(SENT)
    assert signed.signature == VECTOR
    page = (Path(__file__).parents[2] / "docs" / "signing.md").read_text()
    assert f"\n{VECTOR}\n" in page
    assert f"\n{LINES.decode()}\n" in page
    (sample,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    told: dict[str, Any] = {}
    exec(sample, told)
    _, value, headers = write_command(SENT)
    plain = {name: (text or b"").decode() for name, text in headers}
    made = told["signature"]("plant-4", SEED, "acme", plain, value)
    check_ed25519(SENT, parse(made), PUBLIC)


def test_a_foreign_system_signs_by_hand_as_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_SIGNING_KEY", f"fleet:{base64url(SENDER)}")
    monkeypatch.setenv("FLEET_LANES_KEY", public_of(LANES))
    upstream = load("upstream.py")
    row = {"id": "1", "company": "acme", "actor": "user:ann", "how": "version:7", "expect": ""}
    sent = upstream.message("category.rename-category", row | {"category_id": "cranes", "name": "Grúas"})
    arrived = read_command(Record("erp.commands", 0, sent.key, sent.value, tuple(sent.headers)))
    given = parse(arrived.signature or "")
    assert given.kid == "fleet"
    check_hmac(arrived, given, SECRET)


def test_the_origin_is_one_line_more_of_what_is_signed_and_cannot_be_changed_afterwards() -> None:
    sent = SENT._replace(origin="203.0.113.7 user:ada curl/8.5.0")
    assert said(sent) == LINES + b"\n203.0.113.7 user:ada curl/8.5.0"
    signed = hmac_signer("api-1", SECRET)(sent)
    given = parse(signed.signature or "")
    check_hmac(signed, given, SECRET)
    for other in (None, "203.0.113.8 user:ada curl/8.5.0"):
        with pytest.raises(BadSignature):
            check_hmac(signed._replace(origin=other), given, SECRET)


def test_a_signature_says_whose_it_claims_to_be() -> None:
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    assert signer_named(ed25519_signer("plant-4", key)(SENT).signature or "") == "key:plant-4"
    assert signer_named(hmac_signer("api-1", SECRET)(SENT).signature or "") == "process:api-1"
    odd = base64url(b'{"alg":"EdDSA","kid":"a\\nb"}')
    for nonsense in ("", "x", "e30..", f"{odd}..AA", "A" * 5000):
        assert signer_named(nonsense) is None
