"""The AsyncAPI 3 document: what travels on Kafka, computed from the catalogue, the commands and the events."""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from operator import itemgetter
from typing import Any

from pydantic import BaseModel

from api.schemas import Schema, Schemas
from domain import EVENTS as EVENT_TYPES
from domain import HOMES, OFFERED
from domain.record import Audited, Outcome
from topics.audit import AUDITED_TYPE
from topics.catalogue import AUDIT, COMMANDS, DEAD_LETTERS, EVENTS, IMPORTS, OUTCOMES, Topic
from topics.imports import RAW_TYPE
from topics.messages import OUTCOME_TYPE

JSON = "application/json"
PREFIX = "erp"
Message = dict[str, Any]

UUID = {"type": "string", "format": "uuid"}
NUMBER = {"type": "string", "pattern": "^[0-9]{1,18}$"}

INTRODUCTION = """\
Messages of Bitcorp ERP on Kafka: CloudEvents 1.0 in Kafka's binary mode (attributes in headers `ce_*`, JSON in the
value). Every key is the company's id, partitioned as Kafka's own client does (murmur2).

Send commands; follow events, outcomes and the audit. Each event and each outcome has in `ce_sequence` its gap-free
position within its partition, from 1: accept position last + 1, ignore what is not greater than the last, stop and
alarm on a gap. So nothing is lost or doubled, whatever Kafka delivers again. Events of one company are in one order.
Ignore attributes and members that you do not know.
"""

OPERATIONS = (
    ("sendCommand", "receive", COMMANDS, "Publish a command to have it decided."),
    ("sendRawRecord", "receive", IMPORTS, "Publish a record of another system to have it mapped and imported."),
    ("followEvents", "send", EVENTS, "Read everything that happened, from the first event on."),
    ("followOutcomes", "send", OUTCOMES, "Read the answers to commands."),
    ("followAudit", "send", AUDIT, "Read who did what, when, from where and under which key."),
    ("followDeadLetters", "send", DEAD_LETTERS, "Read what could not be processed, and why."),
)


@cache
def document() -> dict[str, Any]:
    """The whole document; the same for the same code, and one object for all who ask."""
    schemas = Schemas(
        [
            *((rule.command, "validation") for rule in OFFERED.values()),
            *((event, "serialization") for event in HOMES),
            (Outcome, "serialization"),
            (Audited, "serialization"),
        ]
    )
    for name, schema in HEADER_SCHEMAS.items():
        schemas.add(name, schema)
    commands = (_message(type_, rule.command, "Command", schemas) for type_, rule in OFFERED.items())
    events = (_message(type_, event, "Event", schemas) for type_, event in EVENT_TYPES.items())
    channels = {
        COMMANDS.name: _by_title(commands),
        EVENTS.name: _by_title(events),
        OUTCOMES.name: _by_title([_message(OUTCOME_TYPE, Outcome, "Outcome", schemas)]),
        AUDIT.name: _by_title([_message(AUDITED_TYPE, Audited, "Audit", schemas)]),
        DEAD_LETTERS.name: _by_title([DEAD_LETTER]),
        IMPORTS.name: _by_title([RAW_RECORD]),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Bitcorp ERP",
            "version": version("bitcorp-erp"),
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON,
        "servers": SERVERS,
        "channels": {topic.name: _channel(topic, channels[topic.name]) for topic in PUBLISHED},
        "operations": {name: _operation(action, topic, summary) for name, action, topic, summary in OPERATIONS},
        "components": {
            "messages": {name: found for messages in channels.values() for name, found in messages.items()},
            "schemas": dict(sorted(schemas.components.items())),
            "securitySchemes": {"user": {"type": "scramSha512", "description": "A user of yours, and its password."}},
        },
    }


def _channel(topic: Topic, messages: Iterable[str]) -> dict[str, Any]:
    return {
        "address": topic.named(PREFIX),
        "description": f"{topic.meaning} Key: {topic.key}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in sorted(messages)},
        "bindings": {"kafka": {"topic": topic.named(PREFIX), "bindingVersion": "0.5.0"}},
    }


def _operation(action: str, topic: Topic, summary: str) -> dict[str, Any]:
    """`action` is what the platform does: it receives what you send."""
    return {"action": action, "channel": {"$ref": f"#/channels/{topic.name}"}, "summary": summary}


def _by_title(messages: Iterable[Message]) -> dict[str, Message]:
    return {message["title"]: message for message in sorted(messages, key=itemgetter("title"))}


def _message(type_: str, model: type[BaseModel], kind: str, schemas: Schemas) -> Message:
    summary = (model.__doc__ or "").strip().partition("\n\n")[0].replace("\n", " ")
    fixed = {"type": "object", "properties": {"ce_type": {"const": type_}}}
    return {
        "name": type_,
        "title": TITLES.get(model, model.__name__),
        **({"summary": summary} if summary else {}),
        "contentType": JSON,
        "headers": {"allOf": [{"$ref": f"#/components/schemas/{kind}Headers"}, fixed]},
        "payload": schemas.refs[model],
        "bindings": KEYED,
        "examples": [{"payload": schemas.example(schemas.refs[model])}],
    }


def _headers(meaning: str, required: Mapping[str, Schema], optional: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "description": meaning,
        "required": list(required),
        "properties": {**required, **optional},
    }


def _text(meaning: str, **schema: Any) -> Schema:
    return {"type": "string", "description": meaning} | schema


SERVERS = {
    "kafka": {"host": "localhost:9092", "protocol": "kafka", "description": "The embedded broker."},
    "kafka-secure": {
        "host": "kafka:9092",
        "protocol": "kafka-secure",
        "description": "A Kafka that knows its clients: docs/kafka-access.md.",
        "security": [{"$ref": "#/components/securitySchemes/user"}],
    },
}
PUBLISHED = (COMMANDS, EVENTS, OUTCOMES, AUDIT, DEAD_LETTERS, IMPORTS)
TITLES: dict[type[BaseModel], str] = {Outcome: "CommandDecided", Audited: "CommandAudited"}

DEAD_LETTER: Message = {
    "name": "dead-letter",
    "title": "DeadLetter",
    "summary": "A record as it came, key, value and headers, with the reason and the origin in headers of ours.",
    "headers": {"$ref": "#/components/schemas/DeadLetterHeaders"},
    "payload": {},
}

RAW_RECORD: Message = {
    "name": RAW_TYPE,
    "title": "RawRecord",
    "summary": "A record exactly as another system has it: an object of its own fields, read by the source's mapping.",
    "contentType": JSON,
    "headers": {"$ref": "#/components/schemas/RawRecordHeaders"},
    "payload": {"type": "object"},
    "examples": [{"payload": {"asset_id": "4711", "organization_code": "PE01", "status": "IN_USE"}}],
}

KEYED = {
    "kafka": {
        "key": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$", "description": "company_id"},
        "bindingVersion": "0.5.0",
    }
}

_ATTRIBUTES: dict[str, Schema] = {
    "ce_specversion": {"const": "1.0"},
    "ce_id": UUID | {"description": "Of a command: chosen by its sender, once per wish. A repeat is answered again."},
    "ce_source": _text("Where the message comes from", format="uri-reference", maxLength=200),
    "ce_type": _text("What it is", maxLength=200),
    "ce_subject": _text("`<aggregate>/<id>`", pattern="^[a-z-]+/[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
    "ce_actor": _text("user:<id>, key:<id>, system:<agent> or operator:<id>", pattern="^(user|key|system|operator):"),
}
_TRACING: dict[str, Schema] = {
    "content-type": {"const": JSON},
    "ce_time": _text("When it was written", format="date-time"),
    "ce_correlationid": _text("Ties together what followed from one request", maxLength=200),
    "ce_causationid": _text("Id of the command that led to it", maxLength=200),
    "ce_traceparent": _text("W3C trace context", maxLength=200),
}
_SEQUENCE: dict[str, Schema] = {
    "ce_sequence": NUMBER | {"description": "Gap-free position within the partition, from 1"}
}

_MOVED: dict[str, Schema] = {
    "bitcorp-moved": _text(
        "`<partition>/<offset>` in the topics that it was moved from, where the platform had other partitions. Who has "
        "read those to their ends skips it",
        pattern="^[0-9]+/[0-9]+$",
    )
}
_FORMER_SEQUENCE: dict[str, Schema] = {
    "ce_formersequence": NUMBER
    | {"description": "Of an event that was moved: the position that it was first written with, which its chain covers"}
}
_FORMER_CHAIN: dict[str, Schema] = {
    "ce_formerchain": _text("Of a record that was moved: its chain value before", pattern="^[0-9a-f]{64}$")
}

HEADER_SCHEMAS: dict[str, Schema] = {
    "CommandHeaders": _headers(
        "Headers of a command.",
        _ATTRIBUTES,
        _TRACING
        | {
            "ce_expectedversion": NUMBER | {"description": "Refuse unless the aggregate has this version"},
            "ce_origin": _text(
                "Where it came from, as the process says that took it: `<address> <caller or -> <user agent>`",
                maxLength=200,
            ),
            "ce_signature": _text(
                "Detached JWS over id, type, key, subject, actor, expected version, SHA-256 of the value and origin, "
                "by `kid`; docs/signing.md says how",
                pattern="^[A-Za-z0-9_-]+\\.\\.[A-Za-z0-9_-]+$",
                maxLength=400,
            ),
        },
    ),
    "EventHeaders": _headers(
        "Headers of an event.",
        _ATTRIBUTES
        | _SEQUENCE
        | {
            "ce_aggregateversion": NUMBER | {"description": "Version of the aggregate after the event"},
            "ce_chain": _text(
                "SHA-256 over the company's previous chain value and this event", pattern="^[0-9a-f]{64}$"
            ),
        },
        _TRACING | _MOVED | _FORMER_SEQUENCE,
    ),
    "OutcomeHeaders": _headers("Headers of an outcome.", _ATTRIBUTES | _SEQUENCE, _TRACING | _MOVED),
    "AuditHeaders": _headers(
        "Headers of a record of the audit. Records at other offsets than `ce_sequence` - 1 do not count: skip them.",
        _ATTRIBUTES
        | {
            "ce_sequence": NUMBER | {"description": "Offset of the record + 1"},
            "ce_read": _text("How far the outcomes of each realm had been read: `<realm>=<offset> ...`"),
            "ce_chain": _text(
                "SHA-256 over the previous chain value of the partition and this record", pattern="^[0-9a-f]{64}$"
            ),
        },
        _TRACING | _MOVED | _FORMER_CHAIN,
    ),
    "RawRecordHeaders": _headers(
        "Headers of a record of another system.",
        {
            "ce_specversion": {"const": "1.0"},
            "ce_id": _text("Tells the record from all others of its import", minLength=1, maxLength=200),
            "ce_source": _text("The other system", pattern="^/imports/[a-z][a-z0-9-]{0,19}$"),
            "ce_type": {"const": RAW_TYPE},
            "ce_subject": _text("The import", pattern="^import/[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
        },
        {"content-type": {"const": JSON}, "ce_line": NUMBER | {"description": "Line of the file that it comes from"}},
    ),
    "DeadLetterHeaders": _headers(
        "The origin's own headers, and ours.",
        {
            "bitcorp-reason": _text("Why it is here, in one word"),
            "bitcorp-detail": _text("Why it is here"),
            "bitcorp-origin": _text("<topic>/<partition>/<offset> of the record"),
            "bitcorp-origin-time": NUMBER | {"description": "The record's timestamp in milliseconds"},
        },
        _MOVED,
    ),
}
