"""The routes of signing in and what belongs to it, and the keys that the tokens are verified with."""

from collections.abc import Iterator

from aiohttp import web

from api.answers import answered
from api.credentials import Credentials
from api.desk import Desk
from api.door import ROOT, Door
from api.forms import ROUTES
from api.own_factor import OwnFactor
from api.own_password import OwnPassword
from api.sessions import Sessions
from api.tokens import as_jwks

JWKS_SECONDS = 300


class Auth:
    """One handler for each route of `api.forms`, found by its name."""

    def __init__(self, door: Door, credentials: Credentials) -> None:
        self._keys = door.keys
        desk = Desk(door, credentials)
        self._parts = (Sessions(desk), OwnPassword(desk), OwnFactor(desk))

    def routes(self) -> Iterator[web.RouteDef]:
        for route in ROUTES:
            handler = next(getattr(part, route.name) for part in self._parts if hasattr(part, route.name))
            yield web.post(f"{ROOT}/auth/{route.path}", handler)
        yield web.get("/.well-known/jwks.json", self.jwks)

    async def jwks(self, request: web.Request) -> web.Response:
        """The keys that access tokens are verified with."""
        return answered(200, as_jwks(self._keys), {"Cache-Control": f"public, max-age={JWKS_SECONDS}"})
