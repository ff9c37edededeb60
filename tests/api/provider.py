"""A provider of identities on this machine: discovery, keys that rotate, tokens with real signatures."""

import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as new_rsa_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE, SUBJECT = "https://erp.example/api", "248289761001"
NEW: dict[str, Any] = {
    "RS256": lambda: new_rsa_key(65537, 2048),
    "ES256": lambda: new_ec_key(SECP256R1()),
    "EdDSA": Ed25519PrivateKey.generate,
}
WRITERS: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


@dataclass
class LocalProvider:
    """`keys` are name -> algorithm and private key; `asked` counts requests by path."""

    issuer: str = ""
    keys: dict[str, tuple[str, Any]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    answers: bool = True
    configuration: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, algorithm: str = "ES256") -> None:
        self.keys[name] = (algorithm, NEW[algorithm]())

    def jwk(self, name: str) -> dict[str, Any]:
        algorithm, key = self.keys[name]
        return WRITERS[algorithm].to_jwk(key.public_key(), as_dict=True) | {"kid": name, "use": "sig", "alg": algorithm}

    def token(self, name: str = "first", head: dict[str, Any] | None = None, **changes: Any) -> str:
        """A good token, but for the changes; a claim that is None is left out."""
        algorithm, key = self.keys[name]
        header = {"typ": "at+jwt", "kid": name} | (head or {})
        return jwt.encode(self.claims(**changes), key, algorithm, headers=header)

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = datetime.now(UTC)
        plain = {"iss": self.issuer, "aud": AUDIENCE, "sub": SUBJECT, "iat": now, "exp": now + timedelta(hours=1)}
        return {claim: value for claim, value in (plain | changes).items() if value is not None}

    async def told(self, request: web.Request) -> web.Response:
        self.asked[request.path] += 1
        if not self.answers:
            return web.Response(status=500)
        if request.path == "/keys":
            return web.json_response({"keys": [self.jwk(name) for name in self.keys]})
        plain = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        return web.json_response(plain | self.configuration)


@asynccontextmanager
async def providing() -> AsyncIterator[LocalProvider]:
    """A provider with one key of each sort; that of ES256 is called `first`."""
    local = LocalProvider()
    local.add("first")
    local.add("rsa", "RS256")
    local.add("okp", "EdDSA")
    app = web.Application()
    app.router.add_get("/{any:.*}", local.told)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    local.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield local
    finally:
        await runner.cleanup()


def bad_tokens(local: LocalProvider) -> dict[str, str]:
    """Tokens that each differ from a good one in one point."""
    now = datetime.now(UTC)
    good = local.token("rsa")
    head, body, signature = good.split(".")
    stranger = LocalProvider(local.issuer)
    stranger.add("rsa", "RS256")
    return {
        "alg none": f"{segment({'typ': 'at+jwt', 'alg': 'none', 'kid': 'rsa'})}.{body}.",
        "HS256 with the public key": confused(local, body),
        "another audience": local.token(aud="https://other.example"),
        "another typ": local.token(head={"typ": "logout+jwt"}),
        "expired": local.token(exp=now - timedelta(minutes=5)),
        "not valid yet": local.token(nbf=now + timedelta(minutes=5)),
        "issued in the future": local.token(iat=now + timedelta(minutes=5)),
        "without exp": local.token(exp=None),
        "without aud": local.token(aud=None),
        "without sub": local.token(sub=None),
        "a subject with a line feed": local.token(sub="1\n2"),
        "a long subject": local.token(sub="x" * 300),
        "an empty subject": local.token(sub=""),
        "unknown kid": local.token(head={"kid": "unheard-of"}),
        "no kid": local.token(head={"kid": ""}),
        "the key of another sort": local.token(head={"kid": "rsa"}),
        "jku": local.token(head={"jku": "https://mallory.example/keys"}),
        "jwk": local.token(head={"jwk": stranger.jwk("rsa")}),
        "x5u": local.token(head={"x5u": "https://mallory.example/certificate"}),
        "crit": local.token(head={"crit": ["exp"]}),
        "another's signature": stranger.token("rsa"),
        "a bit flipped": f"{head}.{body}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}",
        "another body": f"{head}.{segment({'iss': local.issuer, 'sub': 'admin'})}.{signature}",
    }


def confused(local: LocalProvider, body: str) -> str:
    head = segment({"typ": "at+jwt", "alg": "HS256", "kid": "rsa"})
    secret = local.keys["rsa"][1].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    mac = hmac.new(secret, f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def segment(plain: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")
