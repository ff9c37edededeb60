"""A few requests to the running API, as a newcomer would try them, with their answers."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http import HTTPMethod, HTTPStatus
from typing import Any
from urllib.parse import urlencode

import aiohttp
from rich.text import Text

from ops.console import plain
from ops.tokens import make_token
from topics.settings import Settings

API = "/api/v1"
TOKEN_LIFE = timedelta(minutes=10)
MOST_LINES = 32


@dataclass(frozen=True)
class Request:
    """One request of a user of the fleet, and the status that it must be answered with."""

    title: str
    company: str
    user: str
    method: HTTPMethod
    path: str
    status: HTTPStatus
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None

    @property
    def target(self) -> str:
        return f"{API}/{self.path}{'?' + urlencode(self.query) if self.query else ''}"


@dataclass(frozen=True)
class Exchange:
    """A request with its answer."""

    request: Request
    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def right(self) -> bool:
        return self.status == self.request.status


def requests(today: date) -> Iterator[Request]:
    """A list with filters, a search, one machine, a command that is accepted, and one that is refused."""
    fields = "equipment_id,name,status,next_due_on"
    yield Request(
        "Haul trucks that are due for service, the most urgent first",
        "andes-minera",
        "cgamarra",
        HTTPMethod.GET,
        "equipment",
        HTTPStatus.OK,
        query={
            "category_id": "haul-trucks",
            "status": "MAINTENANCE_SCHEDULED",
            "sort": "next_due_on",
            "limit": "3",
            "fields": fields,
        },
    )
    yield Request(
        "Search for a crane by part of its name, with the number of matches",
        "nordkran",
        "nvoss",
        HTTPMethod.GET,
        "equipment",
        HTTPStatus.OK,
        query={"q": "ltm 1300", "total": "true", "limit": "2", "fields": "equipment_id,name,serial_number"},
    )
    yield Request("One machine", "andes-minera", "cgamarra", HTTPMethod.GET, "equipment/sh-0001", HTTPStatus.OK)
    service = {"job_id": "demo-1", "maintenance_type": "PREVENTIVE", "notes": "Servicio de 1000 h"}
    yield Request(
        "Schedule a service and wait for the outcome",
        "andes-minera",
        "jcondori",
        HTTPMethod.POST,
        "equipment/sh-0001/schedule-maintenance",
        HTTPStatus.OK,
        headers={"Prefer": "wait=5"},
        body=service | {"scheduled_date": str(today + timedelta(days=14))},
    )
    yield Request(
        "The same for a day that has passed: refused",
        "andes-minera",
        "jcondori",
        HTTPMethod.POST,
        "equipment/sh-0001/schedule-maintenance",
        HTTPStatus.CONFLICT,
        headers={"Prefer": "wait=5"},
        body=service | {"job_id": "demo-2", "scheduled_date": str(today - timedelta(days=14))},
    )


async def exchanges(settings: Settings, url: str) -> list[Exchange]:
    """Send the requests to the API at `url`."""
    async with aiohttp.ClientSession(url) as session:
        return [await _exchange(settings, session, request) for request in requests(datetime.now(UTC).date())]


async def _exchange(settings: Settings, session: aiohttp.ClientSession, request: Request) -> Exchange:
    token = make_token(settings, request.company, request.user, None, TOKEN_LIFE)
    headers = {"Authorization": f"Bearer {token}", **request.headers}
    async with session.request(request.method, request.target, headers=headers, json=request.body) as answer:
        return Exchange(request, answer.status, answer.headers, await answer.json(content_type=None))


def transcript(number: int, exchange: Exchange, url: str) -> Text:
    """The request as a shell line, and the answer as it came."""
    request = exchange.request
    verdict = "green" if exchange.right else "bold red"
    lines = json.dumps(exchange.body, ensure_ascii=False, indent=2).splitlines()
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], f"  ... {len(lines) - MOST_LINES} lines more"]
    return Text("\n").join(
        [
            plain(f"{number}. {request.title}", "bold"),
            plain(_shell(request, url), "cyan"),
            Text.assemble(plain(f"HTTP {exchange.status}", verdict), plain(_hints(exchange.headers), "dim")),
            *(plain(line) for line in lines),
            plain(""),
        ]
    )


def _shell(request: Request, url: str) -> str:
    words = ["curl", f"-X {request.method}" if request.method is not HTTPMethod.GET else "", '-H "$TOKEN"']
    words += [f"-H '{name}: {value}'" for name, value in request.headers.items()]
    if request.body is not None:
        words.append(f"-H 'Content-Type: application/json' -d '{json.dumps(request.body, ensure_ascii=False)}'")
    return " ".join([*filter(None, words), f"'{url}{request.target}'"])


def _hints(headers: Mapping[str, str]) -> str:
    shown = ("Consistency", "Location", "ETag", "Preference-Applied")
    return "".join(f"  {name}: {headers[name]}" for name in shown if name in headers)
