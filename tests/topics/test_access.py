"""What clients of Kafka are made with, and what is said where that cannot work."""

from pathlib import Path
from typing import Any

import pytest

from ops.certificates import Authority
from topics.access import NoAccess, for_aiokafka, for_librdkafka
from topics.settings import Settings

PASSWORD = "tiger-7"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and a key that it has signed."""
    made = tmp_path_factory.mktemp("keys")
    Authority(made).issue(made / "operator.pem", "operator")
    return made


def settings(folder: Path, **changes: Any) -> Settings:
    known = {"kafka": "kafka:9092", "kafka_protocol": "SASL_SSL", "kafka_user": "erp-api", "kafka_password": PASSWORD}
    return Settings(**known | {"kafka_ca": folder / "ca.pem"} | changes)


def test_the_embedded_broker_is_told_nothing_but_its_address() -> None:
    plain = Settings(kafka="127.0.0.1:1")
    assert for_aiokafka(plain) == {"bootstrap_servers": "127.0.0.1:1"}
    assert for_librdkafka(plain) == {"bootstrap.servers": "127.0.0.1:1"}


def test_both_libraries_are_given_user_password_and_whom_to_believe(folder: Path) -> None:
    one, other = for_aiokafka(settings(folder)), for_librdkafka(settings(folder))
    assert one.pop("ssl_context").get_ca_certs()
    assert one == {
        "bootstrap_servers": "kafka:9092",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "erp-api",
        "sasl_plain_password": PASSWORD,
    }
    assert other == {
        "bootstrap.servers": "kafka:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "erp-api",
        "sasl.password": PASSWORD,
        "ssl.ca.location": str(folder / "ca.pem"),
    }


def test_an_operator_comes_with_a_certificate(folder: Path) -> None:
    operator = settings(folder, kafka_protocol="SSL", kafka_certificate=folder / "operator.pem")
    assert set(for_aiokafka(operator)) == {"bootstrap_servers", "security_protocol", "ssl_context"}
    assert for_librdkafka(operator)["ssl.key.location"] == str(folder / "operator.pem")


@pytest.mark.parametrize("library", [for_aiokafka, for_librdkafka])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kafka_user": ""}, "BITCORP_KAFKA_PROTOCOL=SASL_SSL needs BITCORP_KAFKA_USER, which is not set."),
        ({"kafka_password": ""}, "BITCORP_KAFKA_PROTOCOL=SASL_SSL needs BITCORP_KAFKA_PASSWORD, which is not set."),
        ({"kafka_ca": None}, "BITCORP_KAFKA_PROTOCOL=SASL_SSL needs BITCORP_KAFKA_CA, which is not set."),
        ({"kafka_ca": "/no/such.pem"}, "BITCORP_KAFKA_CA: /no/such.pem cannot be read (No such file or directory)."),
        ({"kafka_ca": __file__}, f"BITCORP_KAFKA_CA ({__file__}) "),
        ({"kafka_protocol": "SSL"}, "BITCORP_KAFKA_PROTOCOL=SSL needs BITCORP_KAFKA_CERTIFICATE, which is not set."),
    ],
    ids=str,
)
def test_what_is_missing_or_wrong_is_named_and_the_password_is_not(
    folder: Path, library: Any, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(NoAccess) as raised:
        library(settings(folder, **changes))
    assert str(raised.value).startswith(said)
    assert PASSWORD not in str(raised.value)


def test_a_key_that_is_not_the_operator_s_own_is_no_certificate(folder: Path) -> None:
    with pytest.raises(NoAccess, match="no PEM file that can be used"):
        for_aiokafka(settings(folder, kafka_protocol="SSL", kafka_certificate=folder / "ca.pem"))


def test_no_setting_shows_the_password(folder: Path) -> None:
    assert PASSWORD not in repr(settings(folder))


def test_secrets_may_lie_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bitcorp_kafka_password").write_text(PASSWORD + "\n")
    monkeypatch.delenv("BITCORP_KAFKA_PASSWORD", raising=False)
    assert Settings().kafka_password.get_secret_value() == ""
    monkeypatch.setenv("BITCORP_SECRETS", str(tmp_path))
    assert Settings().kafka_password.get_secret_value() == PASSWORD
    assert Settings().secrets == tmp_path
    monkeypatch.setenv("BITCORP_KAFKA_PASSWORD", "another")
    assert Settings().kafka_password.get_secret_value() == "another"
