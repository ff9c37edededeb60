"""How this process comes in to Kafka: the one place that gives its clients address, protocol, user and password."""

import logging
import ssl
import time
from pathlib import Path
from typing import Any

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from topics import header_names as header_names  # mends aiokafka wherever it is used
from topics.settings import Settings

CHECK_SECONDS, LOOK_SECONDS = 5.0, 0.3
FORBIDDEN = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
FORBIDDEN_CODES = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)
#: librdkafka's own complaints: what matters of them is raised.
QUIET = logging.getLogger("topics.access.librdkafka")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False


class NoAccess(Exception):
    """Kafka does not let this process in or do this, or the settings cannot work: the text says what to do."""


def for_aiokafka(settings: Settings) -> dict[str, Any]:
    """What every client of aiokafka is made with. Raises NoAccess for settings that cannot work."""
    given: dict[str, Any] = {"bootstrap_servers": settings.kafka}
    if settings.kafka_protocol == "PLAINTEXT":
        return given
    given |= {"security_protocol": settings.kafka_protocol, "ssl_context": _trust(settings)}
    if settings.kafka_protocol == "SASL_SSL":
        user, password = _user(settings)
        given |= {"sasl_mechanism": settings.kafka_mechanism, "sasl_plain_username": user}
        given["sasl_plain_password"] = password
    return given


def for_librdkafka(settings: Settings) -> dict[str, Any]:
    """The same for clients of confluent-kafka."""
    given: dict[str, Any] = {"bootstrap.servers": settings.kafka}
    if settings.kafka_protocol == "PLAINTEXT":
        return given
    _trust(settings)
    given |= {"security.protocol": settings.kafka_protocol, "ssl.ca.location": str(settings.kafka_ca)}
    if settings.kafka_protocol == "SASL_SSL":
        user, password = _user(settings)
        return given | {
            "sasl.mechanism": settings.kafka_mechanism,
            "sasl.username": user,
            "sasl.password": password,
        }
    both = str(settings.kafka_certificate)
    return given | {"ssl.certificate.location": both, "ssl.key.location": both}


def check(settings: Settings) -> None:
    """Raise NoAccess where Kafka is there and does not let this process in; nothing where it is away."""
    if settings.kafka_protocol == "PLAINTEXT":
        return
    refusals = Refusals(settings)
    admin = AdminClient(for_librdkafka(settings), logger=QUIET, error_cb=refusals)
    deadline = time.monotonic() + CHECK_SECONDS
    while time.monotonic() < deadline:
        try:
            admin.list_topics(timeout=LOOK_SECONDS)
            return
        except KafkaException as fault:  # it says nothing but that this took too long
            admin.poll(0)
            refusals.tell(fault)


class Refusals:
    """Listens to librdkafka, whose calls only say that they took too long where a broker does not let us in."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.said = ""

    def __call__(self, fault: KafkaError) -> None:
        self.said = refusal(self._settings, fault) or self.said

    def tell(self, fault: Exception) -> None:
        """Raises NoAccess if a broker has refused, which the fault came of."""
        if self.said:
            raise NoAccess(self.said) from fault


def refusal(settings: Settings, fault: KafkaError) -> str:
    """What a refusal means and what to do; empty for other faults."""
    if fault.code() == KafkaError._AUTHENTICATION:
        return unknown(settings)
    if fault.code() == KafkaError._SSL or "SSL routines" in fault.str():  # ours refused, or theirs
        return distrusted(settings, fault.str())
    return forbidden(settings, fault.str()) if fault.code() in FORBIDDEN_CODES else ""


def unknown(settings: Settings) -> str:
    return (
        f"Kafka at {settings.kafka} does not let the user {settings.kafka_user} in: there is no such user, or the "
        "password is another. Correct BITCORP_KAFKA_USER and BITCORP_KAFKA_PASSWORD; an operator sets passwords with: "
        "bitcorp access apply --passwords FOLDER"
    )


def distrusted(settings: Settings, detail: str) -> str:
    return (
        f"No TLS between Kafka at {settings.kafka} and us: its certificate must be signed by an authority in "
        f"BITCORP_KAFKA_CA ({settings.kafka_ca}) and name the host that we call; with BITCORP_KAFKA_PROTOCOL=SSL ours "
        f"must be one that it believes. ({detail})"
    )


def forbidden(settings: Settings, detail: str) -> str:
    who = settings.kafka_user or settings.kafka_certificate or "anonymous clients"
    return (
        f"Kafka does not allow {who} to do this ({detail}). See who may do what with: bitcorp access show; an operator "
        "gives the rights with: bitcorp access apply"
    )


def _user(settings: Settings) -> tuple[str, str]:
    password = settings.kafka_password.get_secret_value()
    for name, value in (("BITCORP_KAFKA_USER", settings.kafka_user), ("BITCORP_KAFKA_PASSWORD", password)):
        if not value:
            raise NoAccess(f"BITCORP_KAFKA_PROTOCOL=SASL_SSL needs {name}, which is not set.")
    return settings.kafka_user, password


def _trust(settings: Settings) -> ssl.SSLContext:
    """Whose certificates we believe, and our own."""
    try:
        context = ssl.create_default_context(cafile=_file(settings, "BITCORP_KAFKA_CA", settings.kafka_ca))
        if settings.kafka_protocol == "SSL":
            context.load_cert_chain(_file(settings, "BITCORP_KAFKA_CERTIFICATE", settings.kafka_certificate))
    except ssl.SSLError as fault:
        raise NoAccess(
            f"BITCORP_KAFKA_CA ({settings.kafka_ca}) or BITCORP_KAFKA_CERTIFICATE ({settings.kafka_certificate}) is no "
            f"PEM file that can be used: {fault.reason or 'no certificate in it'}."
        ) from fault
    return context


def _file(settings: Settings, name: str, path: Path | None) -> Path:
    if path is None:
        raise NoAccess(f"BITCORP_KAFKA_PROTOCOL={settings.kafka_protocol} needs {name}, which is not set.")
    try:
        path.read_bytes()
    except OSError as fault:
        raise NoAccess(f"{name}: {path} cannot be read ({fault.strerror}).") from fault
    return path
