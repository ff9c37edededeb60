"""A platform whose lanes take signed commands alone: its own processes sign, and nobody else is believed."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from pydantic import SecretStr

from ops.embedded import Stack
from ops.running import Platform
from ops.tokens import make_token
from tests.api.callers import until
from tests.ops.platforms import platform_of
from tests.ops.shell import Shell

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def platform(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform_of(stack, tmp_path_factory.mktemp("signed"), unsigned_commands=False) as running:
        yield running


def test_the_platform_s_own_processes_are_believed_until_they_are_dismissed(platform: Platform, bitcorp: Shell) -> None:
    bitcorp.use(platform.settings)
    ann = ("ann", "Ann Soto", "ann@acme.example")
    opened = bitcorp("send", "create-company", "acme", "Acme", "America/Lima", "PEN", *ann, "--actor", "operator:root")
    assert opened.code == 0, opened.text

    token = make_token(platform.settings, "acme", "ann", None, timedelta(hours=1))
    headers = {"Authorization": f"Bearer {token}", "Prefer": "wait=20"}
    body = {"category_id": "trucks", "name": "Trucks"}
    asked = requests.post(f"{platform.url}/api/v1/categories", json=body, headers=headers, timeout=60)
    assert asked.status_code == 201, asked.text

    order = ("send", "define-category", "cranes", "Cranes", "--company", "acme", "--actor", "user:ann")
    bitcorp.use(
        platform.settings.model_copy(
            update={"signing_key": SecretStr(""), "directory": platform.settings.directory / "x"}
        )
    )
    unsigned = bitcorp(*order)
    assert unsigned.code == 1
    assert "rejected: unauthenticated" in unsigned.text

    bitcorp.use(platform.settings)
    letters = [json.loads(line) for line in bitcorp("dead-letters", "list", "--json").out.splitlines()]
    assert [letter["reason"] for letter in letters] == ["unauthenticated"]
    number = json.loads(bitcorp("dead-letters", "list", "--json").out.splitlines()[0])
    place = f"{number['partition']}:{number['offset']}"
    forged = bitcorp("dead-letters", "retry", place)
    assert forged.code == 1
    assert "does not prove who sent it: name who sends it now, as --actor" in forged.text
    retried = bitcorp("dead-letters", "retry", place, "--actor", "user:ann")
    assert retried.code == 0, retried.text
    dismissed = bitcorp("keys", "apply", "embedded", "--dismiss", "replaced")
    assert dismissed.code == 0, dismissed.text
    refused = bitcorp(*order)
    assert "rejected: unauthenticated" in refused.text
    assert bitcorp("verify").code == 0
    assert bitcorp("verify", "--chain").code == 0


def test_the_audit_names_the_process_that_vouched_and_tells_what_nobody_has_proved_as_such(platform: Platform) -> None:
    token = make_token(platform.settings, "acme", "ann", None, timedelta(hours=1))

    def rows() -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {token}"}
        query = {"type": "com.bitcorp.erp.category.define-category.v1", "sort": "recorded_at"}
        answer = requests.get(f"{platform.url}/api/v1/audit", params=query, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found if len(found) >= 4 else []

    told = until(rows, "the audit tells what was sent")
    accepted, unsigned = ("embedded", None, "127.0.0.1"), (None, "unauthenticated", None)
    shown = [(row["process_id"], row["code"], row["address"]) for row in told]
    assert shown[:2] == [accepted, unsigned]
    assert shown[-1] == ("embedded", "unauthenticated", None)
    assert all(row["user_agent"] is None or row["user_agent"].startswith("python-requests") for row in told)


def test_a_pair_is_printed_and_admitted(platform: Platform, bitcorp: Shell) -> None:
    bitcorp.use(platform.settings)
    made, root = json.loads(bitcorp("keys", "pair").out), json.loads(bitcorp("keys", "pair", "--root").out)
    assert len({*made.values(), *root.values()}) == 4
    said = bitcorp("keys", "apply", "timer-2", "--public-key", made["public_key"], "--vouches", "system:planner")
    assert said.code == 0, said.text
    both = bitcorp("keys", "apply", "timer-2", "--public-key", made["public_key"], "--dismiss", "replaced")
    assert both.code == 1


def test_without_the_root_key_nobody_is_admitted(platform: Platform, bitcorp: Shell) -> None:
    bitcorp.use(platform.settings.model_copy(update={"root_private_key": SecretStr("")}))
    said = bitcorp("keys", "apply", "mallory", "--public-key", platform.settings.lanes_public_key, "--vouches", "user")
    assert said.code == 1
    assert "BITCORP_ROOT_PRIVATE_KEY" in said.text
