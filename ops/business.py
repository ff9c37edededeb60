"""More of the business on the demo's fleet: the past, many commands, depreciation, a plan that comes due, an import.

Each step says what it does and what it saw, and whether that is right.
"""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
from rich.text import Text

from ops import depreciation
from ops.console import plain
from ops.requests import API, TOKEN_LIFE
from ops.settings import as_environment
from ops.tokens import make_token
from topics.settings import Settings

COMPANY, ADMIN = "andes-minera", "mquispe"
MACHINES = ("sh-0001", "sh-0002", "sh-0003")
CHECKOUT = Path(__file__).parent.parent
FILE = CHECKOUT / "examples" / "imports" / "legacy-erp.csv"
WAIT = {"Prefer": "wait=20"}
PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.3


@dataclass(frozen=True)
class Step:
    """What was done, what was seen, and whether that is as it ought to be."""

    title: str
    seen: str
    right: bool

    def line(self) -> Text:
        verdict = plain("ok      ", "green") if self.right else plain("DIFFERS ", "bold red")
        return Text.assemble("  ", verdict, plain(self.title), plain(f": {self.seen}", "dim"))


class Company:
    """The demo's first company over HTTP. What was just done can be read: each answer's position goes with the next."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self.settings = settings
        self._session = session
        self._position: dict[str, str] = {}

    async def do(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a command and wait for its outcome; status and answer."""
        return await self._ask("POST", path, WAIT | self._position, json=body or {})

    async def see(self, path: str, **query: str) -> tuple[int, Any]:
        return await self._ask("GET", path, self._position, params=query)

    async def _ask(self, method: str, path: str, extra: dict[str, str], **more: Any) -> tuple[int, Any]:
        token = make_token(self.settings, COMPANY, ADMIN, None, TOKEN_LIFE)
        headers = {"Authorization": f"Bearer {token}", **extra}
        async with self._session.request(method, f"{API}/{path}", headers=headers, **more) as answer:
            body = await answer.json(content_type=None)
            self._note(answer.headers.get("Consistency"), body)
            return answer.status, body

    def _note(self, position: str | None, body: Any) -> None:
        if position is None and isinstance(body, dict) and body.get("outcomes"):
            last = body["outcomes"][-1]
            position = f"{last['partition']}:{last['position']}" if "partition" in last else None
        if position is not None:
            self._position = {"Consistency": position}


async def steps(settings: Settings, url: str) -> list[Step]:
    """Do all of it against the API at `url`."""
    async with aiohttp.ClientSession(url) as session:
        company = Company(settings, session)
        return [step for part in (_past, _back, _books, _plan, _import) async for step in part(company)]


async def _past(company: Company) -> AsyncIterator[Step]:
    """What was known a year ago, and what was true then."""
    year_ago = (datetime.now(UTC) - timedelta(days=365)).strftime("%Y-%m-%dT%H:%MZ")
    known, _ = await company.see(f"equipment/{MACHINES[0]}", as_of=year_ago)
    yield Step(f"what was known of {MACHINES[0]} a year ago", f"HTTP {known}, it was not registered yet", known == 404)
    status, then = await company.see(f"equipment/{MACHINES[0]}", valid_at=year_ago)
    _, now = await company.see(f"equipment/{MACHINES[0]}")
    served, latest = then.get("last_maintained_on"), now.get("last_maintained_on")
    right = status == 200 and served is not None and served <= year_ago[:10] <= latest
    yield Step("what was true then, by entries made since", f"last serviced on {served}, by now on {latest}", right)


async def _back(company: Company) -> AsyncIterator[Step]:
    """Many commands at once, and one of them taken back."""
    began = datetime.now(UTC).isoformat()
    names = [
        {"command": "equipment.rename", "data": {"equipment_id": key, "name": f"Pala n.º {key[-1]}"}}
        for key in MACHINES
    ]
    _, sent = await company.do("bulk", {"commands": names})
    statuses = _answers(sent)
    yield Step("three machines renamed in one request", _counted(statuses), statuses == {"accepted": len(MACHINES)})
    _, before = await company.see(f"equipment/{MACHINES[0]}")
    _, undone = await company.do(f"commands/{sent['outcomes'][0]['command_id']}/undo")
    _, after = await company.see(f"equipment/{MACHINES[0]}")
    right = _answers(undone) == {"accepted": 1} and before["name"] == "Pala n.º 1" != after["name"]
    yield Step("the first of them taken back", f"{before['name']!r} is {after['name']!r} again", right)
    _, differs = await company.see(f"equipment/{MACHINES[1]}/diff", **{"from": began})
    fields = {change["field"] for change in differs["changes"]}
    yield Step(
        "what has changed of the second since", ", ".join(sorted(fields)), fields == {"name", "version", "updated_at"}
    )


async def _books(company: Company) -> AsyncIterator[Step]:
    """A policy, terms for three machines, and all months that are over posted."""
    plan = {"method": "STRAIGHT_LINE", "life_months": 120}
    policy = {"books": [{"book": "FINANCIAL", "plan": plan}]}
    status, answer = await company.do(f"companies/{COMPANY}/update-depreciation-policy", policy)
    yield Step("a policy: ten years in equal parts", answer.get("code") or answer["status"], status == 200)
    today = datetime.now(UTC).date()
    cost = {"amount": "120000.00", "currency": "PEN"}
    available = str(date(today.year - 1, today.month, 1))
    terms = [
        {
            "command": "equipment.set-depreciation",
            "data": {"equipment_id": key, "book": "FINANCIAL", "cost": cost, "available_on": available},
        }
        for key in MACHINES
    ]
    _, sent = await company.do("bulk", {"commands": terms})
    statuses = _answers(sent)
    yield Step("terms for three machines, a year ago", _counted(statuses), statuses == {"accepted": len(MACHINES)})
    await company.see("books")
    period = (today.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    wanted = [depreciation.commands(place) for place in await depreciation.lacking(company.settings, period, COMPANY)]
    answers = Counter((await depreciation.send(company.settings, wanted, PATIENCE_SECONDS)).values())
    yield Step(f"depreciation posted up to {period}", _counted(answers), answers == {depreciation.POSTED: 36})
    books = await _until(
        lambda: company.see("books"), lambda found: all(b["posted_through"] == period for b in found["items"])
    )
    values = {book["value"]["amount"] for book in books["items"]}
    yield Step("their value in the books", ", ".join(sorted(values)), values == {"108000.00"})


async def _plan(company: Company) -> AsyncIterator[Step]:
    """A service every month from today; the timer makes the job of it."""
    today = datetime.now(UTC).date()
    rule = {"start": str(today), "rule": "FREQ=MONTHLY"}
    terms = {"maintenance_type": "PREVENTIVE", "anchor": "FIXED", "schedule": rule, "lead_days": 3}
    plan = {"plan_id": "demo-monthly", "name": "Servicio mensual", "equipment_id": MACHINES[2], "terms": terms}
    status, answer = await company.do("plans", plan)
    yield Step("a plan: service every month from today", answer.get("code") or answer["status"], status == 201)
    jobs = await _until(
        lambda: company.see("maintenance-jobs", equipment_id=MACHINES[2], open="true", limit="200"),
        lambda found: any(job["scheduled_on"] == str(today) for job in found["items"]),
    )
    due = [job["scheduled_on"] for job in jobs["items"]]
    yield Step("the job that the timer made of it", f"due on {min(due, default=None)}", str(today) in due)


async def _import(company: Company) -> AsyncIterator[Step]:
    """A file of another ERP, ten lines of which are wrong, and the whole of it taken back."""
    import_id = str(uuid4())
    brought = await _bitcorp(company.settings, "import", str(FILE), "--source", FILE.stem, "--id", import_id)
    aside = sum(number for said, number in brought.items() if said.startswith(("quarantined", "unreadable")))
    yield Step(f"{FILE.name} imported", _counted(brought), brought["new"] == 190 and aside == 10)
    undone = await _bitcorp(company.settings, "import", "undo", import_id)
    yield Step("and taken back", _counted(undone), undone == {"undone": 190})


async def _bitcorp(settings: Settings, *words: str) -> Counter[str]:
    """What a command of the shell counts in the last line of its JSON."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops.main", *words, "--json"),
        cwd=CHECKOUT,
        env=os.environ | as_environment(settings),
        stdout=PIPE,
        stderr=DEVNULL,
    )
    said, _ = await process.communicate()
    lines = said.decode().splitlines()
    return Counter(json.loads(lines[-1]) if lines else {})


async def _until(ask: Callable[[], Any], enough: Callable[[Any], bool]) -> Any:
    """The answer as soon as it is enough, or the last one when patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        _, answer = await ask()
        if enough(answer) or time.monotonic() > deadline:
            return answer
        await asyncio.sleep(LOOK_SECONDS)


def _answers(body: Any) -> Counter[str]:
    """How often each answer was given: `accepted`, or the code of a refusal."""
    return Counter(each.get("code") or each["status"] for each in body.get("outcomes", [body]))


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {what}" for what, number in counts.most_common()) or "nothing"
