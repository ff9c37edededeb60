"""A Kafka with TLS, users and rights for the tests of a module, and clients of it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import ClusterAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError

from ops.certificates import Authority
from ops.embedded import Kafka
from ops.embedded.guard import Guard
from ops.rights import apply, set_passwords, users
from topics.access import for_aiokafka
from topics.provision import create_topics
from topics.settings import Settings

SECONDS = 30.0


def password_of(user: str) -> str:
    return f"tiger-of-{user}"


@dataclass(frozen=True)
class Guarded:
    """A running broker and where its keys lie."""

    kafka: Kafka
    folder: Path

    def operator(self, **chosen: Any) -> Settings:
        """Settings of who may do everything."""
        return self._settings(
            self.kafka.operators_address, chosen, "SSL", kafka_certificate=self.folder / "operator.pem"
        )

    def settings(self, user: str, **chosen: Any) -> Settings:
        """Settings of a user with its password."""
        known = {"kafka_user": user, "kafka_password": password_of(user)} | chosen
        return self._settings(self.kafka.address, known, "SASL_SSL")

    def _settings(self, address: str, chosen: dict[str, Any], protocol: str, **more: Any) -> Settings:
        known = {"kafka": address, "kafka_protocol": protocol, "kafka_ca": self.folder / "ca.pem", "partitions": 2}
        return Settings(**known | more | chosen)

    def opened(self, prefix: str, **chosen: Any) -> Settings:
        """The operator's settings for a prefix with topics, users, passwords and rights."""
        operator = self.operator(prefix=prefix, **chosen)
        create_topics(operator)
        known = users(operator)
        set_passwords(operator, {user: password_of(user) for user in known})
        apply(operator, known)
        return operator


@contextmanager
def guarded(folder: Path) -> Iterator[Guarded]:
    """A broker of its own."""
    authority = Authority(folder)
    authority.issue(folder / "broker.pem", "broker", ["127.0.0.1"])
    authority.issue(folder / "operator.pem", "operator")
    guard = Guard(folder / "broker.pem", folder / "operator.pem", authority.certificate_path)
    kafka = Kafka(folder / "kafka", guard=guard)
    kafka.start()
    try:
        yield Guarded(kafka, folder)
    finally:
        kafka.stop()


class Hand:
    """What one user can do with its own hands: plain aiokafka, without any of our code around it."""

    def __init__(self, settings: Settings) -> None:
        self._given = for_aiokafka(settings)

    async def may_write(self, topic: str, value: bytes = b"{}") -> bool:
        """With idempotence, which nobody gets who may not write to some topic: that is the error of the cluster."""
        producer = AIOKafkaProducer(**self._given, enable_idempotence=True)
        try:
            async with asyncio.timeout(SECONDS):
                await producer.start()
                await producer.send_and_wait(topic, value, b"key", partition=0)
        except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
            return False
        finally:
            with suppress(ClusterAuthorizationFailedError):
                await producer.stop()
        return True

    async def may_read(self, topic: str) -> bool:
        """Needs a record in partition 0."""
        async with AIOKafkaConsumer(**self._given, auto_offset_reset="earliest") as consumer:
            consumer.assign([TopicPartition(topic, 0)])
            await consumer._client.force_metadata_update()
            if topic in consumer._client.cluster.unauthorized_topics:
                return False  # for such a topic aiokafka would wait for ever
            try:
                async with asyncio.timeout(SECONDS):
                    await consumer.getone()
            except TopicAuthorizationFailedError:
                return False
        return True

    async def joins(self, group: str, topic: str) -> KafkaError | None:
        """Read as a member of a group; what is said against it."""
        reader = AIOKafkaConsumer(topic, **self._given, group_id=group, auto_offset_reset="earliest")
        try:
            async with asyncio.timeout(SECONDS):
                await reader.start()
                await reader.getone()
        except KafkaError as fault:
            return fault
        finally:
            await reader.stop()
        return None
