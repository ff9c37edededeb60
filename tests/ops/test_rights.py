"""Kafka with TLS, users and rights: the platform works whole, and nobody can do more than is needed."""

import asyncio
import json
import stat
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType

from domain import REALMS
from ops.certificates import Authority
from ops.rights import KINDS, SOURCES, Right, apply, compare, rights, users
from tests.ops.guarded import Guarded, Hand, password_of
from tests.ops.shell import Shell, start
from topics.access import NoAccess, check
from topics.catalogue import TOPICS, TOPICS_OF
from topics.provision import admin_client, create_topics, require
from topics.publisher import Unavailable
from topics.settings import Settings

PREFIX = "erp"
CREDENTIALS = TOPICS_OF["credentials"]


def of(kind: str, settings: Settings | None = None) -> set[tuple[str, str, str]]:
    """What a kind of process may do: operation, kind and name."""
    wanted = rights(settings or Settings(), {"me": kind})
    return {(right.operation, right.kind, right.name) for right in wanted}


# --- computed ---------------------------------------------------------------------------------------------------------


def test_every_topic_has_somebody_who_writes_it_and_all_of_them_are_known() -> None:
    for topic in TOPICS:
        assert topic.writers, topic.name
        assert topic.writers | topic.readers <= set(KINDS), topic.name


def test_others_may_send_commands_and_records_or_read_events_and_nothing_else() -> None:
    assert of("upstream") == {("write", "topic", "erp.commands"), ("write", "topic", "erp.imports")}
    assert of("analytics") == {("read", "topic", "erp.events"), ("read", "group", "me")}


def test_only_the_api_and_their_own_workers_have_to_do_with_credentials() -> None:
    theirs = {topic.named(PREFIX) for topic in vars(CREDENTIALS).values()}
    touching = {kind for kind in KINDS for _, _, name in of(kind) if name in theirs}
    assert touching == {"api", "credentials", "views", "audit"}
    audits = {(operation, name) for operation, _, name in of("audit") if name in theirs}
    assert audits == {("read", CREDENTIALS.outcomes.named(PREFIX))}
    assert {right for right in of("views") if right[2] in theirs} == {("read", "topic", "erp.credentials.events")}
    assert {right for right in of("api") if right[2] in theirs} == {
        ("write", "topic", "erp.credentials.commands"),
        ("read", "topic", "erp.credentials.events"),
        ("read", "topic", "erp.credentials.outcomes"),
    }


def test_the_lanes_of_a_realm_alone_write_its_journal_and_its_state() -> None:
    for name, topics in TOPICS_OF.items():
        lanes = "lanes" if name == "business" else name
        assert {topics.events.writers, topics.outcomes.writers, topics.state.writers} == {frozenset({lanes})}
    assert set(TOPICS_OF) == set(REALMS)


def test_views_read_what_their_groups_are_folded_from() -> None:
    read = {name for operation, kind, name in of("views") if (operation, kind) == ("read", "topic")}
    assert read == {f"erp.{source}" for source in SOURCES}
    assert "write" not in {operation for operation, _, _ in of("views")}


def test_each_user_is_named_by_prefix_and_kind_and_others_may_be_added() -> None:
    known = users(Settings(prefix="north"), {"sap": "upstream"})
    assert known["north-lanes"] == "lanes"
    assert {right.user for right in rights(Settings(prefix="north"), known) if "write" in right} >= {"sap", "north-api"}


# --- on a broker ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def operator(broker: Guarded) -> Settings:
    """With topics, users and rights under the usual prefix."""
    return broker.opened(PREFIX)


@pytest.mark.long
@pytest.mark.servers
@pytest.mark.parametrize("kind", KINDS)
async def test_a_process_can_do_what_the_catalogue_says_and_nothing_else(
    broker: Guarded, operator: Settings, kind: str
) -> None:
    allowed, super_user, hand = of(kind), Hand(operator), Hand(broker.settings(f"{PREFIX}-{kind}"))
    for topic in (topic.named(PREFIX) for topic in TOPICS):
        assert await super_user.may_write(topic)
        assert await hand.may_write(topic) == (("write", "topic", topic) in allowed), topic
        assert await hand.may_read(topic) == (("read", "topic", topic) in allowed), topic


@pytest.mark.servers
async def test_analytics_read_in_groups_of_their_own_name_and_in_no_other(broker: Guarded, operator: Settings) -> None:
    assert await Hand(operator).may_write("erp.events")
    hand = Hand(broker.settings("erp-analytics"))
    assert await hand.joins("erp-analytics-nightly", "erp.events") is None
    assert isinstance(await hand.joins("erp-lanes", "erp.events"), GroupAuthorizationFailedError)


@pytest.mark.long
@pytest.mark.servers
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("upstream", "analytics")])
def test_every_process_of_ours_can_compare_the_topics_with_the_catalogue(
    broker: Guarded, operator: Settings, kind: str
) -> None:
    require(broker.settings(f"{PREFIX}-{kind}"))


@pytest.mark.servers
def test_nobody_but_operators_makes_topics(broker: Guarded, operator: Settings) -> None:
    with pytest.raises(NoAccess, match="Kafka does not allow erp-lanes to do this"):
        create_topics(broker.settings("erp-lanes", prefix="erp-more"))


@pytest.mark.servers
def test_a_wrong_password_is_refused_with_what_to_do(broker: Guarded, operator: Settings) -> None:
    for user in ("erp-lanes", "nobody"):
        with pytest.raises(NoAccess) as raised:
            check(broker.settings(user, kafka_password="wrong-tiger"))
        assert f"does not let the user {user} in" in str(raised.value)
        assert "bitcorp access apply --passwords" in str(raised.value)
        assert "wrong-tiger" not in str(raised.value)


@pytest.mark.servers
async def test_nobody_comes_in_without_tls(broker: Guarded) -> None:
    for address in (broker.kafka.address, broker.kafka.operators_address):
        reader = AIOKafkaConsumer(bootstrap_servers=address, request_timeout_ms=3000)
        with pytest.raises(KafkaConnectionError):
            await reader.start()
        await reader.stop()
    plain = Settings(kafka=broker.kafka.address, partitions=2)
    with pytest.raises(Unavailable, match="and BITCORP_KAFKA_PROTOCOL where it wants TLS"):
        await asyncio.to_thread(require, plain)


@pytest.mark.servers
def test_a_broker_whose_certificate_another_authority_signed_is_not_believed(broker: Guarded, tmp_path: Path) -> None:
    with pytest.raises(NoAccess, match="BITCORP_KAFKA_CA"):
        check(broker.settings("erp-api", kafka_ca=Authority(tmp_path).certificate_path))


@pytest.mark.servers
def test_an_operator_needs_a_certificate_that_the_broker_believes(broker: Guarded, tmp_path: Path) -> None:
    Authority(tmp_path).issue(tmp_path / "mallory.pem", "operator")
    with pytest.raises(NoAccess, match="ours must be one that it believes"):
        check(broker.operator(kafka_certificate=tmp_path / "mallory.pem"))
    check(broker.operator())


# --- applied ----------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.servers
def test_rights_are_given_once_and_what_is_too_much_is_taken(broker: Guarded) -> None:
    operator = broker.operator(prefix="north")
    known = users(operator)
    assert apply(operator, known).missing == rights(operator, known)
    assert apply(operator, known) == ([], [])

    grant(operator, "north-views", "north.commands", AclPermissionType.ALLOW)
    grant(operator, "north-api", "north.commands", AclPermissionType.DENY)
    excess = [
        Right("north-api", "not write", "topic", "north.commands"),
        Right("north-views", "write", "topic", "north.commands"),
    ]
    assert compare(operator, known) == ([], sorted(excess))
    assert apply(operator, known).excess == sorted(excess)
    assert compare(operator, known) == ([], [])


def grant(operator: Settings, user: str, topic: str, permission: AclPermissionType) -> None:
    """What an operator does behind our back."""
    binding = AclBinding(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        f"User:{user}",
        "*",
        AclOperation.WRITE,
        permission,
    )
    with admin_client(operator) as admin:
        admin.create_acls([binding])[binding].result(30)


@pytest.mark.long
@pytest.mark.servers
def test_the_shell_makes_keys_gives_rights_and_shows_them(broker: Guarded, bitcorp: Shell, tmp_path: Path) -> None:
    operator = broker.operator(prefix="south", database="postgresql://nobody@127.0.0.1:1/none")
    bitcorp.use(operator)
    assert bitcorp("access", "show").code == 1
    keys = tmp_path / "keys"
    assert bitcorp("access", "keys", str(keys), "--user", "sap=upstream").code == 0
    made = {path.relative_to(keys): path.read_bytes() for path in keys.rglob("*") if path.is_file()}
    assert len(made) == 5 + len(KINDS) + 1
    for path in made:
        assert path == Path("ca.pem") or stat.S_IMODE((keys / path).stat().st_mode) == 0o600
    assert bitcorp("access", "keys", str(keys)).code == 0
    assert made == {path.relative_to(keys): path.read_bytes() for path in keys.rglob("*") if path.is_file()}

    given = bitcorp("access", "apply", "--passwords", str(keys / "passwords"), "--user", "sap=upstream")
    assert given.code == 0, given.text
    assert f"{len(KINDS) + 1} passwords are set." in given.text
    assert "given: sap may write topic south.commands" in given.text
    password = (keys / "passwords" / "sap").read_text()
    assert password not in given.text
    assert bitcorp("access", "show").code == 0
    check(broker.settings("sap", kafka_password=password))
    shown = json.loads(bitcorp("access", "show", "--user", "sap=upstream", "--json").out)
    assert (shown["missing"], shown["excess"]) == ([], [])
    assert {"sap", "south-lanes"} <= {right["user"] for right in shown["rights"]}
    for wrong in ("sap=anything", "../sap=upstream", "=upstream", "sap"):
        said = bitcorp("access", "show", "--user", wrong)
        assert said.code == 1
        assert "write NAME=KIND" in said.text


@pytest.mark.long
@pytest.mark.servers
@pytest.mark.parametrize("words", [("worker", "lanes"), ("api",), ("doctor",), ("tail", "events")], ids=" ".join)
def test_a_process_with_a_wrong_password_says_so_and_does_not_start(
    broker: Guarded, operator: Settings, bitcorp: Shell, tmp_path: Path, words: tuple[str, ...]
) -> None:
    wrong = broker.settings("erp-lanes", kafka_password="wrong-tiger")
    variables = {
        "KAFKA": wrong.kafka,
        "KAFKA_PROTOCOL": "SASL_SSL",
        "KAFKA_USER": "erp-lanes",
        "KAFKA_PASSWORD": "wrong-tiger",
        "KAFKA_CA": str(wrong.kafka_ca),
        "PARTITIONS": "2",
        "DATABASE": "postgresql://nobody@127.0.0.1:1/none",
        "DIRECTORY": str(tmp_path),
        "API_PORT": "0",
    }
    log = tmp_path / "said"
    code = start(*words, log=log, **variables).wait(60)
    said = " ".join(log.read_text().split())
    assert code == (78 if words[0] == "worker" else 1), said
    assert "does not let the user erp-lanes in" in said
    assert "wrong-tiger" not in said
    assert password_of("erp-lanes") not in said
