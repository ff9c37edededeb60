"""The command line as such: help, exit codes, and errors that say what to do. No servers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from domain import OFFERED, REALMS
from domain.decider import kebab
from ops import stack
from ops.errors import Fault
from ops.main import COMMANDS
from ops.settings import as_environment, variable
from ops.stack import Addresses, resolve
from tests.ops.shell import CHECKOUT, Shell, environment
from topics.catalogue import TOPICS
from topics.settings import Settings

HEAVY = ("faust", "aiohttp", "aiokafka", "asyncpg", "sqlalchemy", "confluent_kafka", "domain")


def test_help_names_every_command_with_a_line_of_meaning(bitcorp: Shell) -> None:
    said = bitcorp("--help")
    assert said.code == 0
    for name, _, _, line in COMMANDS:
        assert name in said.text
        assert line in said.text


@pytest.mark.parametrize("name", [name for name, *_ in COMMANDS])
def test_every_command_can_be_imported_and_has_a_help_page(bitcorp: Shell, name: str) -> None:
    said = bitcorp(name, "--help")
    assert said.code == 0
    assert f"Usage: bitcorp {name}" in said.text


@pytest.mark.thorough
def test_the_help_page_needs_no_library_that_is_slow_to_import() -> None:
    code = f"""if True:
        import contextlib, sys
        from ops.main import main
        with contextlib.suppress(SystemExit):
            main(["--help"])
        print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "[]"


def test_an_unknown_command_is_a_wrong_argument(bitcorp: Shell) -> None:
    said = bitcorp("deploy")
    assert said.code == 2
    assert 'Unknown command "deploy"' in said.text


@pytest.mark.thorough
def test_a_closed_pipe_ends_the_output_quietly() -> None:
    run = subprocess.run(
        f"'{sys.executable}' -m ops.main describe commands | true", shell=True, capture_output=True, text=True
    )
    assert "Traceback" not in run.stderr


@pytest.mark.thorough
def test_settings_lists_all_variables_with_their_meaning() -> None:
    words = (sys.executable, "-m", "ops.main", "settings")
    wide = environment() | {"COLUMNS": "1000"}  # so that no cell breaks into several lines
    said = subprocess.run(words, cwd=CHECKOUT, env=wide, capture_output=True, text=True).stdout
    for name, field in Settings.model_fields.items():
        assert variable(name) in said
        assert (field.description or "?").split(".")[0] in said


def test_settings_reach_another_process_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Settings(prefix="other", database=SecretStr("postgresql://host/db"), api_port=1234, directory=Path("/x"))
    for name, value in as_environment(given).items():
        monkeypatch.setenv(name, value)
    assert Settings() == given


def test_settings_hides_secrets(bitcorp: Shell) -> None:
    bitcorp.set(DATABASE="postgresql://me:tiger@host/db", TOKEN_PRIVATE_KEY="tiger")
    for said in (bitcorp("settings"), bitcorp("settings", "--json"), bitcorp("describe", "settings", "--json")):
        assert "tiger" not in said.text
        assert "(hidden)" in said.text


def test_a_wrong_setting_is_named_with_its_fault(bitcorp: Shell) -> None:
    bitcorp.set(API_PORT="often")
    said = bitcorp("settings")
    assert said.code == 1
    assert "BITCORP_API_PORT: Input should be a valid integer" in said.text
    assert "bitcorp settings" in said.text


def test_describe_lists_all_topics_and_commands(bitcorp: Shell) -> None:
    described = json.loads(bitcorp("describe", "--json").out)
    assert [topic["topic"] for topic in described["topics"]] == [topic.named("erp") for topic in TOPICS]
    rules = {rule.type: rule for realm in REALMS.values() for rule in realm.rules.values()}
    assert {command["type"] for command in described["commands"]} == set(rules)
    assert {command["type"] for command in described["commands"] if command["route"]} == set(OFFERED)
    assert {event["type"] for event in described["events"]} == {it for realm in REALMS.values() for it in realm.events}
    assert all(described[name] for name in ("events", "refusals", "views", "metrics", "settings"))
    assert {"method": "GET", "path": "/health"} in described["routes"]


def test_describe_prints_one_part(bitcorp: Shell) -> None:
    said = bitcorp("describe", "events")
    assert "MaintenanceScheduled" in said.text
    assert "bitcorp_lane" not in said.text


@pytest.mark.parametrize(
    "words",
    [
        ("topics", "show"),
        ("migrate",),
        ("worker", "lanes"),
        ("worker", "credentials"),
        ("worker", "views"),
        ("user", "invite", "--company", "acme", "--user", "ann"),
        ("worker", "timer"),
        ("worker", "audit"),
        ("api",),
        ("views", "list"),
        ("tail", "events"),
        ("dead-letters", "list"),
        ("state", "rebuild"),
        ("verify",),
    ],
)
def test_without_servers_a_command_says_how_to_get_some(bitcorp: Shell, words: tuple[str, ...]) -> None:
    said = bitcorp(*words)
    assert said.code == 1
    assert "BITCORP_KAFKA and BITCORP_DATABASE are not set" in said.text
    assert "bitcorp up" in said.text


def test_a_stack_that_has_ended_is_not_taken_for_one_that_runs(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    stack.write(tmp_path, Addresses("127.0.0.1:1", "postgresql:///x", pid=int(ended.stdout)))
    with pytest.raises(Fault, match="no stack runs"):
        resolve(Settings(directory=tmp_path))


def test_the_addresses_of_a_stack_are_for_its_owner_only(tmp_path: Path) -> None:
    path = stack.write(tmp_path, Addresses("127.0.0.1:9092", "postgresql://me:secret@host/db"))
    assert path.stat().st_mode & 0o077 == 0
    assert stack.read(tmp_path) == Addresses("127.0.0.1:9092", "postgresql://me:secret@host/db")
    stack.forget(tmp_path)
    assert stack.read(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kafka": 1'])
def test_a_broken_file_of_addresses_is_no_stack(tmp_path: Path, text: str) -> None:
    (tmp_path / "stack.json").write_text(text)
    assert stack.read(tmp_path) is None


def test_settings_that_are_given_need_no_stack(tmp_path: Path) -> None:
    given = Settings(kafka="host:9092", database=SecretStr("postgresql://host/db"), directory=tmp_path)
    assert resolve(given) == given


def test_what_is_not_set_is_named_alone(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="BITCORP_DATABASE is not set"):
        resolve(Settings(kafka="host:9092", directory=tmp_path))


def test_a_token_needs_somebody_to_speak_for(bitcorp: Shell) -> None:
    for words in (
        (),
        ("--user", "ann"),
        ("--company", "acme"),
        ("--user", "ann", "--company", "acme", "--operator", "o"),
    ):
        said = bitcorp("token", *words)
        assert said.code == 1
        assert "--company and --user, or for an --operator" in said.text


def test_a_token_is_one_line_that_the_api_accepts(bitcorp: Shell) -> None:
    from api.tokens import accepted_keys, verify

    token = bitcorp("token", "--user", "ann", "--company", "acme").out.strip()
    settings = Settings()
    principal = verify(settings, accepted_keys(settings), token)
    assert (str(principal.actor), principal.company_id) == ("user:ann", "acme")


def test_a_token_for_a_wrong_name_is_refused(bitcorp: Shell) -> None:
    said = bitcorp("token", "--user", "a b", "--company", "acme")
    assert said.code == 1
    assert "no name for a token" in said.text


def test_a_view_that_does_not_exist_is_answered_with_those_that_do(bitcorp: Shell) -> None:
    bitcorp.set(KAFKA="127.0.0.1:1", DATABASE="postgresql://127.0.0.1:1/x")
    said = bitcorp("views", "rebuild", "nonsense")
    assert said.code == 1
    assert "There is no view 'nonsense'. There are: companies" in said.text


def test_a_benchmark_that_does_not_exist_is_refused_before_servers_start(bitcorp: Shell) -> None:
    said = bitcorp("bench", "nonsense")
    assert said.code == 1
    assert "There is no benchmark 'nonsense'" in said.text


def test_every_command_of_the_domain_can_be_sent(bitcorp: Shell) -> None:
    said = bitcorp("send", "--help")
    for rule in OFFERED.values():
        assert kebab(rule.command.__name__) in said.text
