"""Kafka and PostgreSQL as child processes: a whole stack in one directory, for demos, tests and small installations."""

from ops.embedded.errors import EmbeddedError
from ops.embedded.kafka import Kafka
from ops.embedded.postgres import Postgres
from ops.embedded.stack import Stack

__all__ = ["EmbeddedError", "Kafka", "Postgres", "Stack"]
