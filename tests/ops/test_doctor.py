"""`bitcorp doctor`: each fault is found and comes with what to do. The checks of servers are in `test_operations`."""

import json
import socket
from pathlib import Path

import pytest

from ops.doctor import (
    Verdict,
    check_api_port,
    check_clock,
    check_disk,
    check_python,
    check_roles,
    check_schema,
    check_settings,
    examine,
)
from ops.stack import Addresses
from tests.ops.shell import Shell
from topics.settings import Settings


def test_a_machine_without_a_stack_is_well_and_told_how_to_start_one(bitcorp: Shell) -> None:
    said = bitcorp("doctor")
    assert said.code == 0, said.text
    for check in ("python", "settings", "disk", "java", "postgresql", "port", "stack"):
        assert check in said.text
    assert "bitcorp up" in said.text


def test_findings_can_be_had_as_json(bitcorp: Shell) -> None:
    checks = [json.loads(line) for line in bitcorp("doctor", "--json").out.splitlines()]
    assert {check["check"] for check in checks} >= {"python", "disk", "stack"}


def test_servers_that_do_not_answer_are_faults(bitcorp: Shell, tmp_path: Path) -> None:
    bitcorp.set(KAFKA="127.0.0.1:1", DATABASE="postgresql://me:tiger@127.0.0.1:1/db")
    said = bitcorp("doctor")
    assert said.code == 1
    assert "nobody answers at 127.0.0.1:1" in said.text
    assert "BITCORP_KAFKA=host:port" in said.text
    assert "PostgreSQL at 127.0.0.1:1/db does not answer" in said.text
    assert "tiger" not in said.text


@pytest.mark.parametrize("version", [(3, 10), (3, 15), (2, 7)])
def test_another_python_is_a_fault(version: tuple[int, int]) -> None:
    found = check_python(version)
    assert found.verdict is Verdict.FAULT
    assert "install Python" in found.remedy


def test_a_variable_that_is_no_setting_is_named() -> None:
    found = list(check_settings(Settings(), {"BITCORP_KAFAK": "x", "PATH": "y"}))
    assert [(each.verdict, each.text) for each in found] == [(Verdict.NOTE, "BITCORP_KAFAK is no setting")]


def test_too_few_copies_for_production_are_a_fault() -> None:
    found = list(check_settings(Settings(single_node=False), {}))
    assert found[0].verdict is Verdict.FAULT
    assert "BITCORP_SINGLE_NODE" in found[0].remedy


def test_a_kafka_that_knows_nobody_is_a_fault_in_production() -> None:
    found = list(check_settings(Settings(single_node=False, replication=3), {}))
    assert (found[0].verdict, found[0].remedy) == (Verdict.FAULT, "set it to SASL_SSL, as docs/kafka-access.md says")
    safe = Settings(single_node=False, replication=3, kafka_protocol="SASL_SSL")
    assert [each.verdict for each in check_settings(safe, {})] == [Verdict.GOOD]


def test_a_folder_that_is_not_there_yet_is_judged_by_the_one_it_will_be_in(tmp_path: Path) -> None:
    assert check_disk(tmp_path / "not" / "yet").verdict is not Verdict.FAULT


def test_a_taken_port_is_noted_unless_our_own_api_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(api_port=port)
        assert check_api_port(settings, None).verdict is Verdict.NOTE
        assert "BITCORP_API_PORT" in check_api_port(settings, None).remedy
        ours = Addresses("", "", f"http://127.0.0.1:{port}")
        assert check_api_port(settings, ours).verdict is Verdict.GOOD
    assert check_api_port(settings, None).verdict is Verdict.GOOD


@pytest.mark.parametrize("revision", [None, "0000"])
def test_another_schema_is_a_fault(revision: str | None) -> None:
    (found,) = check_schema(revision, "0001")
    assert found.verdict is Verdict.FAULT
    assert "bitcorp migrate" in found.remedy


@pytest.mark.parametrize(
    ("roles", "remedy"),
    [
        ({}, "bitcorp migrate"),
        ({"erp_reader": True}, "bitcorp migrate"),
        ({"erp_reader": True, "erp_writer": True}, "bitcorp migrate"),
        ({"erp_reader": False, "erp_writer": True, "erp_sign_in": True}, "NOBYPASSRLS"),
        ({"erp_reader": True, "erp_writer": True, "erp_sign_in": False}, "ALTER ROLE erp_sign_in"),
    ],
)
def test_roles_that_are_missing_or_too_mighty_are_faults(roles: dict[str, bool], remedy: str) -> None:
    (found,) = check_roles(roles)
    assert found.verdict is Verdict.FAULT
    assert remedy in found.remedy


def test_clocks_that_disagree_are_a_fault() -> None:
    assert check_clock(1000.0, 1000.5).verdict is Verdict.GOOD
    assert check_clock(1000.0, 4600.0).verdict is Verdict.FAULT


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    folder = tmp_path / "untouched"
    list(examine(Settings(directory=folder)))
    assert not folder.exists()
