"""The files that install and ship the platform, as far as they can be judged without a container engine."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from ops.embedded.guard import GUARDED
from ops.rights import users
from tests.ops.shell import Shell
from topics.settings import Settings

CHECKOUT = Path(__file__).parents[2]
PINNED = re.compile(r"^[a-z/-]+:\d+\.\d+(\.\d+)?(-[a-z]+)*$")
HOST = re.compile(r"https?://[\w.-]+|\b(pypi|docker|ghcr|quay|maven|npmjs)\.(org|io|com)\b")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
    return loaded


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


def test_every_process_of_the_platform_is_a_service(services: dict[str, dict[str, Any]]) -> None:
    assert set(services) == {
        "kafka",
        "postgres",
        "setup",
        "lanes",
        "credentials",
        "views",
        "audit",
        "imports",
        "timer",
        "api",
    }
    assert services["lanes"]["deploy"]["replicas"] == 2


def test_images_are_pinned(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert PINNED.match(service["image"]), name
    for line in (CHECKOUT / "Dockerfile").read_text().splitlines():
        if line.startswith("FROM "):
            assert PINNED.match(line.split()[1]), line


def test_servers_have_health_checks_and_everything_else_waits_for_them(services: dict[str, dict[str, Any]]) -> None:
    for server in ("kafka", "postgres"):
        assert services[server]["healthcheck"]["test"]
    for name in ("setup", "lanes", "credentials", "views", "audit", "imports", "timer", "api"):
        waits = services[name]["depends_on"]
        assert {waits[server]["condition"] for server in ("kafka", "postgres")} == {"service_healthy"}
        assert name == "setup" or waits["setup"]["condition"] == "service_completed_successfully"


def test_passwords_are_demanded_and_never_given(compose: dict[str, Any]) -> None:
    text = (CHECKOUT / "docker-compose.yml").read_text()
    for name in ("POSTGRES_PASSWORD", "BITCORP_TOKEN_PRIVATE_KEY", "BITCORP_TOTP_KEYS"):
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text
    password = compose["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"]
    assert password.startswith("${POSTGRES_PASSWORD:?")


SERVICES = {"lanes", "credentials", "views", "imports", "timer", "api"}


def as_property(variable: str) -> str:
    """The setting of the broker that Kafka's own image makes of a variable."""
    name = variable.removeprefix("KAFKA_").lower().replace("_", ".")
    return name.replace("...", "-").replace("..", "_")


def test_kafka_takes_nobody_without_tls_and_everybody_as_somebody(services: dict[str, dict[str, Any]]) -> None:
    """The settings with which the tests of rights run."""
    said = {as_property(name): str(value) for name, value in services["kafka"]["environment"].items()}
    assert {name: said.get(name) for name in GUARDED} == GUARDED
    protocols = dict(pair.split(":") for pair in said["listener.security.protocol.map"].split(","))
    assert {place.partition("://")[0] for place in said["listeners"].split(",")} == set(protocols)
    assert set(protocols.values()) == {"SASL_SSL", "SSL"}
    assert "ports" not in services["kafka"]


def test_each_process_comes_to_kafka_as_itself_and_the_setup_as_an_operator(
    compose: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    for name in SERVICES:
        given = services[name]["environment"]
        assert given["BITCORP_KAFKA_USER"] == f"erp-{name}"
        assert given["BITCORP_KAFKA_PASSWORD"].startswith(f"${{KAFKA_PASSWORD_{name.upper()}:?")
        assert (given["BITCORP_KAFKA_PROTOCOL"], services[name]["secrets"]) == ("SASL_SSL", ["ca.pem"])
    setup = services["setup"]
    assert setup["environment"]["BITCORP_KAFKA_PROTOCOL"] == "SSL"
    assert set(users(Settings())) | {"ca.pem", "operator.pem"} == set(setup["secrets"]) <= set(compose["secrets"])
    assert "bitcorp access apply --passwords /run/secrets" in setup["entrypoint"][-1]


def test_what_is_demanded_for_kafka_is_made_by_one_command(
    compose: dict[str, Any], bitcorp: Shell, tmp_path: Path
) -> None:
    assert bitcorp("access", "keys", str(tmp_path)).code == 0
    made = dotenv_values(tmp_path / "kafka.env")
    text = (CHECKOUT / "docker-compose.yml").read_text()
    demanded = set(re.findall(r"\$\{(KAFKA_\w+):\?", text))
    secrets = {secret["environment"] for secret in compose["secrets"].values() if "environment" in secret}
    assert demanded <= secrets == set(made)
    assert made["KAFKA_BROKER_PEM"] == (tmp_path / "broker.pem").read_text()
    assert made["KAFKA_PASSWORD_API"] == (tmp_path / "passwords" / "erp-api").read_text()
    assert "${KAFKA_PASSWORD_API:-" not in text


def test_nothing_runs_as_root_or_reaches_for_the_engine(services: dict[str, dict[str, Any]]) -> None:
    assert "docker.sock" not in (CHECKOUT / "docker-compose.yml").read_text()
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert not service.get("privileged"), name
        assert service.get("user") not in ("root", "0"), name
    dockerfile = (CHECKOUT / "Dockerfile").read_text()
    assert dockerfile.rindex("USER bitcorp") > dockerfile.rindex("FROM ")
    assert "HEALTHCHECK" in dockerfile


def test_data_lie_in_named_volumes_and_services_come_back(compose: dict[str, Any]) -> None:
    for server in ("kafka", "postgres"):
        (volume,) = compose["services"][server]["volumes"]
        assert volume.partition(":")[0] in compose["volumes"]
    for name, service in compose["services"].items():
        assert service["restart"] == ("on-failure:5" if name == "setup" else "unless-stopped")


def test_every_variable_of_the_services_is_a_setting(services: dict[str, dict[str, Any]]) -> None:
    known = {f"BITCORP_{name.upper()}" for name in Settings.model_fields}
    for name in ("setup", "lanes", "credentials", "views", "audit", "imports", "timer", "api"):
        assert set(services[name]["environment"]) <= known


def test_every_command_of_the_services_exists(services: dict[str, dict[str, Any]]) -> None:
    from ops.main import COMMANDS

    names = {name for name, *_ in COMMANDS}
    for name in ("lanes", "credentials", "views", "audit", "imports", "timer", "api"):
        assert services[name]["command"][0] in names


def test_no_file_names_the_host_of_a_registry() -> None:
    for name in ("Dockerfile", "docker-compose.yml", "Makefile", ".ci/run", ".ci/environment", ".ci/tools.txt"):
        assert not HOST.search((CHECKOUT / name).read_text()), name
    assert not HOST.search((CHECKOUT / "requirements.txt").read_text())
    assert not HOST.search((CHECKOUT / ".pre-commit-config.yaml").read_text())


def test_make_without_a_target_says_what_there_is_to_do() -> None:
    said = subprocess.run(["make"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    for target in (
        "setup",
        "demo",
        "up",
        "test",
        "test-fast",
        "lint",
        "bench",
        "quix",
        "soak",
        "contracts",
        "lock",
        "clean",
    ):
        assert f"make {target} " in said


def test_continuous_integration_runs_what_the_readme_says() -> None:
    run = CHECKOUT / ".ci" / "run"
    assert os.access(run, os.X_OK)
    text = run.read_text()
    assert "set -eu" in text
    assert "make test" in text


def test_an_interpreter_that_is_too_old_is_refused_with_what_to_do(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    run = subprocess.run(
        ["sh", str(CHECKOUT / ".ci" / "environment")],
        cwd=tmp_path,
        env={**os.environ, "PYTHON": str(old)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert "Python 3.11 to 3.14 is needed" in run.stderr
    assert not (tmp_path / ".venv").exists()
