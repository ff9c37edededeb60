"""Access tokens of another provider of identities (OpenID Connect): verified by its published keys.

The keys are fetched when they are first needed, by one request at a time, and again when a token names a key that is
not among them; between two fetches lies a least time, so that made-up names fetch nothing.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import jwt
import structlog

from api.problems import identity_provider_away
from api.tokens import LEEWAY, LONGEST, BadToken, reason
from topics.settings import Settings

ALGORITHMS = ("RS256", "ES256", "EdDSA")
TYPES = ("at+jwt", "application/at+jwt", "JWT", None)
HEADERS = {"alg", "typ", "kid", "x5t", "x5t#S256"}
REQUIRED = ("exp", "sub", "aud", "iss")
LONGEST_SUBJECT = 255
DISCOVERY = "/.well-known/openid-configuration"
FETCH_SECONDS, LEAST_SECONDS, KEPT_SECONDS = 5.0, 30.0, 3600.0
LARGEST_DOCUMENT = 512 * 1024
FAULTS = (aiohttp.ClientError, TimeoutError, OSError, ValueError)

log = structlog.get_logger("api")

Keys = Mapping[str, jwt.PyJWK]


@dataclass(frozen=True)
class Identity:
    """Whom the provider has seen, until when, and what else it says."""

    issuer: str
    subject: str
    expires_at: datetime
    claims: Mapping[str, Any]


class Provider:
    """One provider, with its keys as they were last fetched."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is fetched yet. Raises ValueError where an address is neither https nor of this machine."""
        self.issuer = settings.oidc_issuer
        self._audience = settings.oidc_audience
        self._address = settings.oidc_jwks_url
        for address in (self.issuer, self._address):
            if address and not is_safe(address):
                raise ValueError(f"{address} must be an https address, or one of this machine")
        if not self._audience:
            raise ValueError("BITCORP_OIDC_AUDIENCE must say which tokens of the provider are meant for this API")
        self._keys: Keys = {}
        self._fetched = self._tried = float("-inf")
        self._lock = asyncio.Lock()

    def issued(self, token: str) -> bool:
        """Whether the token says that it comes from this provider, which is believed only after `verify`."""
        try:
            claims = jwt.decode(token, options={"verify_signature": False}) if len(token) <= LONGEST else {}
        except jwt.InvalidTokenError:
            return False
        return claims.get("iss") == self.issuer

    async def verify(self, token: str) -> Identity:
        """Raises BadToken, or the problem that the provider does not answer."""
        key = await self._key(key_name(token))
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                issuer=self.issuer,
                audience=self._audience,
                leeway=LEEWAY,
                options={"require": list(REQUIRED), "enforce_minimum_key_length": True},
            )
        except jwt.InvalidTokenError as fault:
            raise BadToken(reason(fault)) from fault
        subject = claims["sub"]
        if not (0 < len(subject) <= LONGEST_SUBJECT and subject.isascii() and subject.isprintable()):
            raise BadToken("the token's subject cannot be read")
        return Identity(self.issuer, subject, datetime.fromtimestamp(claims["exp"], UTC), claims)

    async def _key(self, name: str) -> jwt.PyJWK:
        if name not in self._keys or time.monotonic() > self._fetched + KEPT_SECONDS:
            await self._refresh(name)
        if name not in self._keys:
            if not self._keys:
                raise identity_provider_away(headers={"Retry-After": str(round(LEAST_SECONDS))})
            raise BadToken("the token's key is not known here")
        return self._keys[name]

    async def _refresh(self, name: str) -> None:
        """Fetch the keys, unless somebody has just done so, or tried."""
        async with self._lock:
            fresh = name in self._keys and time.monotonic() < self._fetched + KEPT_SECONDS
            if fresh or time.monotonic() < self._tried + LEAST_SECONDS:
                return
            self._tried = time.monotonic()
            try:
                self._keys = await self._fetch()
                self._fetched = time.monotonic()
            except FAULTS as fault:
                log.warning("identity-provider-away", reason=repr(fault))

    async def _fetch(self) -> Keys:
        timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            address = self._address or await self._discovered(session)
            found = keys_of(await document(session, address))
            if not found:
                raise ValueError("the provider publishes no key that we can use")
            return found

    async def _discovered(self, session: aiohttp.ClientSession) -> str:
        told = await document(session, self.issuer.rstrip("/") + DISCOVERY)
        address = str(told.get("jwks_uri"))
        if told.get("issuer") != self.issuer or not is_safe(address):
            raise ValueError("the provider's configuration is of another issuer, or names an unsafe address")
        return address


def is_safe(address: str) -> bool:
    """Whether what comes from the address can be believed: https, or this machine itself."""
    parts = urlsplit(address)
    if parts.scheme == "https":
        return bool(parts.hostname)
    try:
        return parts.scheme == "http" and ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.scheme == "http" and parts.hostname == "localhost"


async def document(session: aiohttp.ClientSession, address: str) -> dict[str, Any]:
    """The JSON object at the address. Raises one of FAULTS."""
    async with session.get(address, allow_redirects=False) as answer:
        answer.raise_for_status()
        if answer.status != 200 or (answer.content_length or 0) > LARGEST_DOCUMENT:
            raise ValueError(f"{address} answers {answer.status} with {answer.content_length} bytes")
        found = json.loads(await answer.content.read(LARGEST_DOCUMENT))
    if not isinstance(found, dict):
        raise ValueError(f"{address} does not answer with an object")
    return found


def keys_of(told: Mapping[str, Any]) -> Keys:
    """Those keys for signatures that have a name and an algorithm of ours."""
    found = {}
    for each in told.get("keys", ()):
        try:
            key = jwt.PyJWK(each)
        except (jwt.PyJWTError, AttributeError):
            continue  # of a sort that we do not know
        if key.key_id and key.public_key_use in (None, "sig") and key.algorithm_name in ALGORITHMS:
            found[str(key.key_id)] = key
    return found


def key_name(token: str) -> str:
    """`kid` of the token. A header that brings or fetches its own key is refused, as is any other type."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError as fault:
        raise BadToken(reason(fault)) from fault
    if header.keys() - HEADERS or header.get("typ") not in TYPES or header.get("alg") not in ALGORITHMS:
        raise BadToken(f"the token's header must have alg ({', '.join(ALGORITHMS)}) and kid, and no key of its own")
    if not isinstance(header.get("kid"), str):
        raise BadToken("the token's header must name its key by kid")
    return str(header["kid"])
