"""GET routes, computed from the resources of the views."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any
from uuid import UUID

from aiohttp import web

from api import headers
from api.answers import answered
from api.database import NOBODY, Database
from api.door import COMPANY_ID, JSON, ROOT, Door
from api.permissions import Permissions
from api.problems import Problem, bad_parameters, command_unknown, not_found
from api.spreadsheet import CSV, table
from api.tokens import Principal
from domain.record import Status
from topics.catalogue import EVENTS
from topics.dead_letters import attempts
from topics.metrics import API_WAITERS
from views import GROUPS, RESOURCES
from views.dead_letters import is_attempt_for, last_of
from views.outcomes import OUTCOMES, OutcomeItem
from views.reading import Reader
from views.resource import BadQuery, Fault, ItemModel, Page, Query, Resource, in_time, moment_of, one, page, parse

PENDING_SECONDS = 1
#: How long a command may be under way before its address is unknown.
YOUNG_SECONDS = 900.0
MOST_SEEN = 10_000
#: The path parameter that the token stands for: whose list it is.
OWNER = "actor"
#: Where an operator, who has no company, says whose command he asks for.
COMPANY = "company_id"
#: How a command that was not accepted names the last other attempt at it.
LATER = "successor-version"
REVALIDATE = {"Cache-Control": "private, no-cache"}


class Sightings:
    """When this process first saw the id of a command; a UUIDv7 says by itself when it was made."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()

    def note(self, company_id: str, command_id: str, now: float | None = None) -> float:
        """When the command was first seen: now, if it is new."""
        first = self._seen.setdefault((company_id, command_id), time.time() if now is None else now)
        if len(self._seen) > MOST_SEEN:
            self._seen.popitem(last=False)
        return first

    def is_young(self, company_id: str, command_id: UUID, now: float) -> bool:
        timed = command_id.version == 7
        made = (command_id.int >> 80) / 1000 if timed else self.note(company_id, str(command_id), now)
        return abs(now - made) < YOUNG_SECONDS


class Queries:
    """Reads views; knows no table."""

    def __init__(self, door: Door, database: Database, permissions: Permissions) -> None:
        self.door = door
        self.database = database
        self.permissions = permissions
        self.sightings = Sightings()

    def routes(self) -> Iterator[web.RouteDef]:
        for resource in RESOURCES:
            yield web.get(f"{ROOT}/{resource.path}", partial(self.list, resource))
            if resource.item_path:
                read = self.command if resource is OUTCOMES else partial(self.detail, resource)
                yield web.get(f"{ROOT}/{resource.item_path}", read)
            if resource.item_path and resource.at:
                yield web.get(f"{ROOT}/{resource.item_path}/diff", partial(self.diff, resource))

    async def list(self, resource: Resource[Any], request: web.Request) -> web.Response:
        principal = self.door.principal(request)
        company_id = self.door.company(principal)
        as_csv = self.door.prefers_csv(request)
        resource, query = checked(resource, request, principal)
        await self.allow(resource, request, principal)
        parent = parent_of(resource)

        async def read(reader: Reader) -> Page[Any] | None:
            if parent is not None and await one(reader, parent, request.match_info) is None:
                return None
            return await page(reader, resource, query)

        found = await self.database.read(company_id, read)
        if found is None:
            raise not_found()
        return page_answer(resource, request, query, found, as_csv)

    async def detail(self, resource: Resource[Any], request: web.Request) -> web.Response:
        principal = self.door.principal(request)
        company_id = self.door.company(principal)
        self.door.accepts_json(request)
        then = as_it_was(resource, request)
        await self.allow(then, request, principal)
        found = await self.database.read(company_id, lambda reader: one(reader, then, request.match_info))
        if found is None:
            raise not_found()
        return item_answer(request, found)

    async def diff(self, resource: Resource[Any], request: web.Request) -> web.Response:
        """Which fields of an item differ between two moments, each as it was known at that moment."""
        principal = self.door.principal(request)
        company_id = self.door.company(principal)
        self.door.accepts_json(request)
        moments = between(resource, request)
        await self.allow(moments[0], request, principal)

        async def read(reader: Reader) -> list[Any]:
            return [await one(reader, then, request.match_info) for then in moments]

        before, after = await self.database.read(company_id, read)
        if before is None and after is None:
            raise not_found()
        return answered(200, {"changes": list(changes(before, after))}, REVALIDATE)

    async def command(self, request: web.Request) -> web.Response:
        """The outcome of a command of the caller's own; pending while it may still be under way."""
        principal = self.door.principal(request)
        self.door.accepts_json(request)
        company_id = self._command_company(principal, request)
        await self.permissions.check(principal)
        headers.is_known(request.headers, "")  # a broken header is refused, also where there is no version yet
        found = await self.outcome(company_id, request.match_info["command_id"])
        if found is not None and await self._may_see(found, company_id, principal):
            self.permissions.changed(company_id, found.aggregate, found.last)
            return item_answer(request, found, await self._later_attempt(found, company_id, request))
        if not self._may_be_under_way(company_id, request.match_info["command_id"]):
            raise command_unknown()
        plain = {"command_id": request.match_info["command_id"], "status": "pending"}
        return answered(200, plain, {"Retry-After": str(PENDING_SECONDS), "Cache-Control": "no-store"})

    async def outcome(self, company_id: str, command_id: str) -> OutcomeItem | None:
        """The first outcome of a command, as its view has it."""
        return await self.database.read(company_id, lambda reader: one(reader, OUTCOMES, {"command_id": command_id}))

    async def _may_see(self, found: OutcomeItem, company_id: str, principal: Principal) -> bool:
        """Whether the caller sent the command, or the one that it is another attempt at."""
        actor, command_id = str(principal.actor), str(found.command_id)
        if found.actor == actor:
            return True
        return await self.database.read(company_id, lambda reader: is_attempt_for(reader, command_id, actor))

    async def _later_attempt(self, found: OutcomeItem, company_id: str, request: web.Request) -> dict[str, str]:
        """A link to the last of the other attempts at a command that was not accepted."""
        if found.status is Status.ACCEPTED:
            return {}
        later = attempts(str(found.command_id))
        last = await self.database.read(company_id, lambda reader: last_of(reader, later))
        return {"Link": f'<{request.rel_url.with_name(str(last))}>; rel="{LATER}"'} if last else {}

    def _command_company(self, principal: Principal, request: web.Request) -> str:
        if principal.company_id is not None:
            no_parameters(request)
            return principal.company_id
        no_parameters(request, but=COMPANY)
        named = request.query.get(COMPANY, "")
        return named if COMPANY_ID.fullmatch(named) else NOBODY

    def _may_be_under_way(self, company_id: str, command_id: str) -> bool:
        try:
            return self.sightings.is_young(company_id, UUID(command_id), time.time())
        except ValueError:
            return False

    async def allow(self, resource: Resource[Any], request: web.Request, principal: Principal) -> None:
        """Wait as `wait` does; then raise the problem of a caller who may not read the resource."""
        await self.wait(resource, request)
        await self.permissions.check(principal, None if OWNER in resource.within else resource.permission)

    async def wait(self, resource: Resource[Any], request: web.Request) -> None:
        """Until the views that the route uses have come to the position that the `Consistency` header names."""
        wanted = headers.position(request.headers)
        if wanted is None or not (groups := groups_of(resource)):
            return
        longest = self.door.settings.wait_limit
        patience = headers.preference(request.headers, longest).wait
        with API_WAITERS.track_inprogress():
            await self.database.reached(groups, *wanted, longest if patience is None else patience)


def parent_of(resource: Resource[Any]) -> Resource[Any] | None:
    """The resource that a list lies within: that of the machine for its history."""
    above = resource.path.rpartition("/")[0]
    return next((found for found in RESOURCES if above and found.item_path == above), None)


def groups_of(resource: Resource[Any]) -> frozenset[str]:
    """View groups that the resource's route reads and that follow the journal, whose positions answers name."""
    parent = parent_of(resource)
    used = {resource.group, *([parent.group] if parent else [])}
    return frozenset(name for name in used if GROUPS[name].source == EVENTS.name)


def checked(resource: Resource[Any], request: web.Request, principal: Principal) -> tuple[Resource[Any], Query]:
    """What the list request is about; where a list is the caller's own, the path stands for him too."""
    path = dict(request.match_info) | ({OWNER: str(principal.actor)} if OWNER in resource.within else {})
    try:
        then, others = in_time(resource, request.query.items())
        return then, parse(then, others, path)
    except BadQuery as fault:
        if any(found.parameter in resource.within for found in fault.faults):
            raise not_found() from fault  # no id can look like this
        raise parameters_problem(fault.faults) from fault


def as_it_was(resource: Resource[Any], request: web.Request) -> Resource[Any]:
    """The resource at the moments that an item's request names; it takes no other parameters."""
    try:
        then, others = in_time(resource, request.query.items())
    except BadQuery as fault:
        raise parameters_problem(fault.faults) from fault
    if others:
        raise parameters_problem(unknown(name) for name, _ in others)
    return then


def between(resource: Resource[Any], request: web.Request) -> tuple[Resource[Any], Resource[Any]]:
    """The resource at the moments `from` and `to`; without `to` as it is now."""
    faults = [unknown(name) for name in request.query if name not in ("from", "to")]
    if "from" not in request.query:
        faults.append(Fault("from", "missing", "name the earlier moment"))
    earlier, later = (_at(resource, name, request.query.getall(name, []), faults) for name in ("from", "to"))
    if not faults and "to" in request.query and moment_of(request.query["to"]) < moment_of(request.query["from"]):
        faults.append(Fault("to", "invalid", "must not be earlier than `from`"))
    if faults:
        raise parameters_problem(faults)
    return earlier, later


def _at(resource: Resource[Any], name: str, given: list[str], faults: list[Fault]) -> Resource[Any]:
    try:
        then, others = in_time(resource, [("as_of", text) for text in given])
    except BadQuery as fault:
        faults += [replace(found, parameter=name) for found in fault.faults]
        return resource
    if others:
        faults.append(Fault(name, "repeated", "the parameter is given twice"))
    return then


def changes(before: ItemModel | None, after: ItemModel | None) -> Iterator[dict[str, Any]]:
    """Fields that differ, with both values; all where one of the items is absent."""
    old, new = ({} if item is None else item.model_dump(mode="json") for item in (before, after))
    for field in new or old:
        if old.get(field) != new.get(field):
            yield {"field": field, "from": old.get(field), "to": new.get(field)}


def unknown(name: str) -> Fault:
    return Fault(name, "unknown", "there is no such parameter")


def no_parameters(request: web.Request, but: str | None = None) -> None:
    faults = [unknown(name) for name in request.query if name != but]
    if faults:
        raise parameters_problem(faults)


def parameters_problem(faults: Iterable[Fault]) -> Problem:
    errors = tuple(asdict(fault) for fault in faults)
    return bad_parameters(f"Wrong: {', '.join(error['parameter'] for error in errors)}.", errors=errors)


def item_answer(request: web.Request, item: ItemModel, links: Mapping[str, str] | None = None) -> web.Response:
    """The item with its strong ETag `"<version>-<digest>"`, or 304 where the caller has just this."""
    body = item.model_dump_json().encode()
    etag = f"{getattr(item, 'version', None) or 0}-{hashlib.sha256(body).hexdigest()[:16]}"
    hints = REVALIDATE | {"ETag": f'"{etag}"'} | dict(links or {})
    if headers.is_known(request.headers, etag):
        return web.Response(status=304, headers=hints)
    return web.Response(body=body, content_type=JSON, headers=hints)


def page_answer(
    resource: Resource[Any], request: web.Request, query: Query, found: Page[Any], as_csv: bool
) -> web.Response:
    hints = dict(REVALIDATE)
    body: dict[str, Any] = {"limit": query.limit}
    if found.next:
        body["next"] = str(request.rel_url.update_query(cursor=found.next))
        hints["Link"] = f'<{body["next"]}>; rel="next"'
    if found.total is not None:
        body |= {"total": found.total, "total_is_capped": found.total_is_capped}
    if as_csv:
        return web.Response(text=table(resource.item, found.items, query.fields), content_type=CSV, headers=hints)
    items = [item.model_dump(mode="json", include=query.fields) for item in found.items]
    return answered(200, {"items": items} | body, hints)
