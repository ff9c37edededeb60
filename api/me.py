"""Who the caller is, and what they may do: what a page needs before it draws its buttons."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from aiohttp import web
from pydantic import Field

from api.answers import answered
from api.door import ROOT, Door
from api.permissions import Permissions
from api.queries import no_parameters
from views.resource import ItemModel

PATH = f"{ROOT}/me"
FRESH = {"Cache-Control": "no-store"}


class Me(ItemModel):
    """Who the caller is, and what they may do."""

    actor: Annotated[str, Field(description="Who asks", examples=["user:maria-quispe"])]
    company_id: Annotated[str | None, Field(description="Their company; operators have none")] = None
    roles: Annotated[tuple[str, ...], Field(description="Their roles", examples=[["manager"]])]
    permissions: Annotated[
        tuple[str, ...],
        Field(description="Commands that they may send, and what they may read", examples=[["equipment.read"]]),
    ]
    expires_at: Annotated[datetime | None, Field(description="When the token that was sent ends")] = None


@dataclass(frozen=True)
class Self:
    """GET /me."""

    door: Door
    permissions: Permissions

    def routes(self) -> Iterator[web.RouteDef]:
        yield web.get(PATH, self.me)

    async def me(self, request: web.Request) -> web.Response:
        principal = self.door.principal(request)
        self.door.accepts_json(request)
        no_parameters(request)
        access = await self.permissions.access(principal)
        found = Me(
            actor=str(principal.actor),
            company_id=principal.company_id,
            roles=tuple(sorted(access.roles)),
            permissions=tuple(sorted(access.permissions)),
            expires_at=principal.expires_at,
        )
        return answered(200, found.model_dump(mode="json"), FRESH)
