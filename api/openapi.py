"""The OpenAPI 3.1 document, computed from the deciders, the views' resources and the problems."""

from collections.abc import Iterable, Mapping
from functools import cache, partial
from importlib.metadata import version
from typing import Any

from api.bulk import MOST_COMMANDS, BulkBody
from api.commands import path_of
from api.dead_letters import BulkRetryBody, RetryBody
from api.door import JSON, ROOT
from api.forms import ROUTES, Route
from api.me import PATH as ME
from api.me import Me
from api.problems import CONTENT_TYPE, ProblemType, all_types
from api.queries import OWNER
from api.schemas import Schema, Schemas
from api.spreadsheet import CSV
from domain import OFFERED
from domain.decider import Rule
from domain.key import CreateKey, key
from views import RESOURCES
from views.dead_letters import DEAD_LETTERS
from views.outcomes import OUTCOMES, OutcomeItem
from views.resource import Parameter, Resource, item_parameters, parameters

TEXT: Schema = {"type": "string"}
LINK: Schema = {"type": "string", "format": "uri-reference"}
SECRET: Schema = {"type": "string", "description": "`bcp_<company>_<key>_<seed>_<check>`; it is shown nowhere else"}
UUID: Schema = {"type": "string", "format": "uuid"}

INTRODUCTION = """\
Publishes commands and reads views of Bitcorp ERP.

A `POST` publishes one command and answers `202` with the address of its outcome; `Prefer: wait=5` waits for the outcome
instead. Repeat a request with the same `Idempotency-Key` as often as you like: it is done once. A `Consistency` value
from an answer, sent with a `GET`, waits until the views show what that command did. Every error is an RFC 9457 problem
with a stable `code`, whose `type` opens a page of help.

Within `/api/v1` changes are additive: new paths, members, codes and enumeration values may appear at any time, so
ignore what you do not know.
"""

#: Statuses of problems that may answer any request with a token.
ANY = (400, 401, 403, 406, 429, 431, 500, 503)
WRITING = (*ANY, 404, 408, 409, 412, 413, 415, 422)
READING = (*ANY, 404)

#: Paths that need no token: what they do, and the media type of the answer.
OPEN_PATHS = {
    "/health": ("health", "Whether this process answers", JSON),
    "/ready": ("ready", "Whether Kafka and PostgreSQL answer, and how far the views are behind", JSON),
    "/metrics": ("metrics", "Metrics for Prometheus", "text/plain"),
    "/openapi.json": ("openapi", "This document", JSON),
    "/asyncapi.json": ("asyncapi", "The messages on Kafka as an AsyncAPI document", JSON),
    "/docs": ("docs", "This document as a page to try it out", "text/html"),
    "/docs/{file}": ("docsFile", "A file of the page", "*/*"),
    "/.well-known/jwks.json": ("jwks", "The keys that access tokens are verified with, as a JWK Set", JSON),
    "/problems": ("problems", "All problems", "text/html"),
    "/problems/{code}": ("problem", "What a problem means and what to do", "text/html"),
}


@cache
def document() -> dict[str, Any]:
    """The whole document; the same for the same code, and one object for all who ask."""
    schemas = Schemas(
        [
            *((rule.command, "validation") for rule in OFFERED.values()),
            (BulkBody, "validation"),
            (RetryBody, "validation"),
            (BulkRetryBody, "validation"),
            *((route.body, "validation") for route in ROUTES),
            *((route.answer, "serialization") for route in ROUTES if route.answer),
            (Me, "serialization"),
            *((resource.item, "serialization") for resource in RESOURCES),
        ]
    )
    paths: dict[str, dict[str, Any]] = {}
    for rule in OFFERED.values():
        paths.setdefault(path_of(rule), {})["post"] = command_operation(rule, schemas)
    for resource in RESOURCES:
        paths.setdefault(f"{ROOT}/{resource.path}", {})["get"] = list_operation(resource, schemas)
        if resource.item_path:
            paths.setdefault(f"{ROOT}/{resource.item_path}", {})["get"] = item_operation(resource, schemas)
        if resource.item_path and resource.at:
            paths[f"{ROOT}/{resource.item_path}/diff"] = {"get": diff_operation(resource)}
    paths[ME] = {"get": me_operation(schemas)}
    paths[f"{ROOT}/bulk"] = {"post": bulk_operation(schemas)}
    paths[f"{ROOT}/auth/keys"] = {"post": new_key_operation(schemas)}
    paths[f"{ROOT}/dead-letters/retry"] = {"post": bulk_retry_operation(schemas)}
    paths[f"{ROOT}/dead-letters/{{letter_id}}/retry"] = {"post": retry_operation(schemas)}
    paths[f"{ROOT}/commands/{{command_id}}/undo"] = {"post": undo_operation()}
    for route in ROUTES:
        paths[f"{ROOT}/auth/{route.path}"] = {"post": auth_operation(route, schemas)}
    for path, (name, summary, media) in OPEN_PATHS.items():
        paths[path] = {"get": open_operation(path, name, summary, media)}
    for rule in OFFERED.values():
        schemas.drop(rule.command)  # bodies have schemas of their own, without the key
    schemas.add("Problem", PROBLEM)
    schemas.add("Pending", PENDING)
    schemas.add("CommandAnswer", command_answer(schemas))
    schemas.add("BulkAnswer", BULK_ANSWER)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bitcorp ERP",
            "version": version("bitcorp-erp"),
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [{"name": name} for name in sorted({"me", *map(tag_of, RESOURCES)})],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "responses": problem_responses(),
            "schemas": dict(sorted(schemas.components.items())),
        },
    }


# Operations


def command_operation(rule: Rule[Any], schemas: Schemas) -> dict[str, Any]:
    key = rule.decider.key
    full = schemas.of(rule.command)
    path = [] if rule.creates else [path_parameter(key, full["properties"][key], f"Which {rule.decider.name}")]
    done = "201" if rule.creates else "200"
    return {
        "operationId": camel(rule.command.__name__),
        "summary": rule.summary,
        "description": _who(rule),
        "tags": [rule.decider.path],
        "parameters": [*path, *map(parameter_ref, ("IdempotencyKey", "Prefer", "IfMatch", *CARRIED))],
        "requestBody": {"required": True, "content": {JSON: body_of(rule, schemas)}},
        "responses": {
            done: command_response(rule.creates),
            "202": pending_response(),
            **problems(WRITING),
        },
    }


def _who(rule: Rule[Any]) -> str:
    may = sorted(rule.roles) + (["operator"] if rule.operators else [])
    return f"Needs one of: {', '.join(may)}. Message type: `{rule.type}`."


def body_of(rule: Rule[Any], schemas: Schemas) -> Schema:
    """The command's fields without the key, which the path names; on creation the key may be left out."""
    key, full = rule.decider.key, schemas.of(rule.command)
    schema = full | {"required": [name for name in full.get("required", ()) if name != key]}
    example = schemas.example(full)
    if not rule.creates:
        schema |= {"properties": {name: kind for name, kind in full["properties"].items() if name != key}}
        del example[key]
    schema = {name: value for name, value in schema.items() if value or name != "required"}
    return {"schema": schemas.add(f"{rule.command.__name__}Body", schema), "example": example}


def list_operation(resource: Resource[Any], schemas: Schemas) -> dict[str, Any]:
    named = [found for found in parameters(resource) if found.name != OWNER]
    name = pascal(resource.name)
    schema = schemas.add(f"{name}Page", page_of(schemas.refs[resource.item]))
    return {
        "operationId": f"list{name}",
        "summary": resource.summary,
        "tags": [tag_of(resource)],
        "parameters": [*map(parameter, named), *map(parameter_ref, ("Consistency", "Prefer", *CARRIED))],
        "responses": {
            "200": {
                "description": "A page of the list.",
                "headers": header_refs("Link", *ALWAYS),
                "content": {JSON: {"schema": schema}, CSV: {"schema": TEXT}},
            },
            **problems(READING),
        },
    }


def item_operation(resource: Resource[Any], schemas: Schemas) -> dict[str, Any]:
    waits = ("Consistency", "Prefer") if resource is not OUTCOMES else ("OperatorsCompany",)
    item = schemas.refs[resource.item]
    links = () if resource is not OUTCOMES else ("Link",)
    schema = item if resource is not OUTCOMES else {"anyOf": [item, {"$ref": "#/components/schemas/Pending"}]}
    return {
        "operationId": f"get{resource.item.__name__.removesuffix('Item')}",
        "summary": (resource.item.__doc__ or "").strip(),
        "tags": [tag_of(resource)],
        "parameters": [
            *map(parameter, item_parameters(resource)),
            *map(parameter_ref, ("IfNoneMatch", *waits, *CARRIED)),
        ],
        "responses": {
            "200": {
                "description": "It is there.",
                "headers": header_refs("ETag", *links, *ALWAYS),
                "content": {JSON: {"schema": schema}},
            },
            "304": {"description": "It is as the caller has it.", "headers": header_refs("ETag", *ALWAYS)},
            **problems(READING),
        },
    }


def bulk_operation(schemas: Schemas) -> dict[str, Any]:
    body = {"schema": schemas.refs[BulkBody], "example": schemas.example(schemas.of(BulkBody))}
    return {
        "operationId": "sendBulk",
        "summary": f"Up to {MOST_COMMANDS:,} commands, decided in their order; each has an outcome of its own.",
        "tags": ["commands"],
        "parameters": [*map(parameter_ref, ("IdempotencyKey", "Prefer", *CARRIED))],
        "requestBody": {"required": True, "content": {JSON: body}},
        "responses": bulk_responses(),
    }


def new_key_operation(schemas: Schemas) -> dict[str, Any]:
    """That of the command, but for the public key, which is made here, and the secret, which is shown here alone."""
    command, full = command_operation(key.rules[CreateKey], schemas), schemas.of(CreateKey)
    told = {"schema": {"type": "object", "required": ["secret"], "properties": {"secret": SECRET}}}
    left = {"public_key"}
    schema = full | {
        "properties": {name: kind for name, kind in full["properties"].items() if name not in left},
        "required": [name for name in full["required"] if name not in left | {key.key}],
    }
    example = {name: found for name, found in schemas.example(full).items() if name not in left}
    body = {"schema": schemas.add("MakeKeyBody", schema), "example": example}
    return command | {
        "operationId": "makeKey",
        "tags": ["auth"],
        "summary": "Make a key with its pair; the answer shows the secret half, once.",
        "parameters": [*map(parameter_ref, ("IdempotencyKey", *CARRIED))],
        "requestBody": {"required": True, "content": {JSON: body}},
        "responses": {
            "201": {"description": "The key is made.", "headers": header_refs(*ALWAYS), "content": {JSON: told}},
            "202": {
                "description": "The key is ordered, and not decided yet.",
                "headers": header_refs(*ALWAYS),
                "content": {JSON: told},
            },
            **problems(WRITING),
        },
    }


def retry_operation(schemas: Schemas) -> dict[str, Any]:
    return {
        "operationId": "retryLetter",
        "summary": "Send the command of a dead letter again, as a new command of the caller's.",
        "tags": ["dead-letters"],
        "parameters": [
            *map(parameter, item_parameters(DEAD_LETTERS)),
            *map(parameter_ref, ("Prefer", *CARRIED)),
        ],
        "requestBody": {"required": True, "content": {JSON: {"schema": schemas.refs[RetryBody], "example": {}}}},
        "responses": {
            "200": command_response(creates=False),
            "201": command_response(creates=True),
            "202": pending_response(),
            **problems(WRITING),
        },
    }


def bulk_retry_operation(schemas: Schemas) -> dict[str, Any]:
    body = {"schema": schemas.refs[BulkRetryBody], "example": {"letter_ids": ["commands-3-17"]}}
    return {
        "operationId": "retryLetters",
        "summary": f"Send the commands of up to {MOST_COMMANDS:,} dead letters again; each has an outcome of its own.",
        "tags": ["dead-letters"],
        "parameters": [*map(parameter_ref, ("Prefer", *CARRIED))],
        "requestBody": {"required": True, "content": {JSON: body}},
        "responses": bulk_responses(),
    }


def undo_operation() -> dict[str, Any]:
    return {
        "operationId": "undoCommand",
        "summary": "Take back what a command brought about, by a command for each of its events, the last one first.",
        "tags": ["commands"],
        "parameters": [
            path_parameter("command_id", UUID, "Which command"),
            *map(parameter_ref, ("Consistency", "Prefer", *CARRIED)),
        ],
        "responses": bulk_responses(),
    }


def bulk_responses() -> dict[str, Any]:
    content = {JSON: {"schema": {"$ref": "#/components/schemas/BulkAnswer"}}}
    headers = header_refs("PreferenceApplied", *ALWAYS)
    return {
        "200": {"description": "All are decided.", "headers": headers, "content": content},
        "202": {
            "description": "Some are not decided yet; their outcomes can be read at `command`.",
            "headers": headers | header_refs("RetryAfter"),
            "content": content,
        },
        **problems(WRITING),
    }


def diff_operation(resource: Resource[Any]) -> dict[str, Any]:
    keys = [found for found in item_parameters(resource) if found.place == "path"]
    moment = {"type": "string", "format": "date-time"}
    span = (
        Parameter("from", "query", moment, "The earlier moment, such as 2026-03-31T00:00Z.", required=True),
        Parameter("to", "query", moment, "The later moment; default: now."),
    )
    return {
        "operationId": f"diff{resource.item.__name__.removesuffix('Item')}",
        "summary": "What has changed of it between two moments, each as it was known then.",
        "tags": [tag_of(resource)],
        "parameters": [*map(parameter, (*keys, *span)), *map(parameter_ref, ("Consistency", "Prefer", *CARRIED))],
        "responses": {
            "200": {
                "description": "The fields that differ.",
                "headers": header_refs(*ALWAYS),
                "content": {JSON: {"schema": CHANGES}},
            },
            **problems(READING),
        },
    }


def auth_operation(route: Route, schemas: Schemas) -> dict[str, Any]:
    content = {"content": {JSON: {"schema": schemas.refs[route.answer]}}} if route.answer else {}
    words = route.name.split("_")
    return {
        "operationId": words[0] + "".join(map(str.capitalize, words[1:])),
        "summary": f"{route.summary}.",
        "tags": ["auth"],
        **({"security": []} if route.open else {}),
        "parameters": [*map(parameter_ref, CARRIED)],
        "requestBody": {"required": True, "content": {JSON: {"schema": schemas.refs[route.body]}}},
        "responses": {
            str(route.status): {"description": "Done.", "headers": header_refs(*ALWAYS), **content},
            **problems(WRITING),
        },
    }


def me_operation(schemas: Schemas) -> dict[str, Any]:
    content = {JSON: {"schema": schemas.refs[Me]}}
    return {
        "operationId": "getMe",
        "summary": "Who the caller is, and what they may do.",
        "tags": ["me"],
        "parameters": [*map(parameter_ref, CARRIED)],
        "responses": {
            "200": {"description": "The caller.", "headers": header_refs(*ALWAYS), "content": content},
            **problems(READING),
        },
    }


def open_operation(path: str, name: str, summary: str, media: str) -> dict[str, Any]:
    named = [path_parameter(part, TEXT, "Its name") for part in ("file", "code") if f"{{{part}}}" in path]
    answers = {"200": {"description": summary, "headers": header_refs(*ALWAYS), "content": {media: {"schema": {}}}}}
    if path == "/ready":
        answers["503"] = {"description": "Something is away.", "content": {JSON: {"schema": {}}}}
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["operations"],
        "security": [],
        "parameters": named,
        "responses": answers | problems((404,) if named else ()),
    }


# Parts


def command_response(creates: bool) -> dict[str, Any]:
    place = ("Location",) if creates else ()
    return {
        "description": "Accepted: the outcome came within the time that `Prefer: wait` names.",
        "headers": header_refs(*place, "ETag", "Consistency", "IdempotentReplayed", "PreferenceApplied", *ALWAYS),
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/CommandAnswer"}}},
    }


def pending_response() -> dict[str, Any]:
    return {
        "description": "Taken; the outcome can be read at `Location`.",
        "headers": header_refs("Location", "RetryAfter", "PreferenceApplied", *ALWAYS),
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Pending"}}},
    }


def command_answer(schemas: Schemas) -> Schema:
    links = {"command": "Address of the outcome", "resource": "Address of what the command was for"}
    return {
        "description": "The outcome of an accepted command.",
        "allOf": [
            schemas.refs[OutcomeItem],
            {
                "type": "object",
                "required": list(links),
                "properties": {name: LINK | {"description": d} for name, d in links.items()},
            },
        ],
    }


def page_of(item: Schema) -> Schema:
    return {
        "type": "object",
        "required": ["items", "limit"],
        "properties": {
            "items": {"type": "array", "items": item},
            "limit": {"type": "integer", "description": "Most items on a page"},
            "next": LINK | {"description": "The next page; absent on the last"},
            "total": {"type": "integer", "description": "Number of items, where `total=true` asked for it"},
            "total_is_capped": {"type": "boolean", "description": "Whether there are more than were counted"},
        },
    }


def problem_responses() -> dict[str, Any]:
    """One response per status, with an example for each code."""
    by_status: dict[int, list[ProblemType]] = {}
    for found in all_types().values():
        if found.status in WRITING:  # 405 is of no operation: it says that there is none
            by_status.setdefault(found.status, []).append(found)
    return {f"Problem{status}": _problem_response(types) for status, types in by_status.items()}


def _problem_response(types: list[ProblemType]) -> dict[str, Any]:
    extra = {401: ("WWWAuthenticate",), 429: ("RetryAfter",), 503: ("RetryAfter",)}.get(types[0].status, ())
    return {
        "description": " / ".join(f"`{found.code}`" for found in types),
        "headers": header_refs(*extra, *ALWAYS),
        "content": {
            CONTENT_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {found.code: {"value": _example(found)} for found in types},
            }
        },
    }


def _example(found: ProblemType) -> dict[str, Any]:
    return found().body(f"{ROOT}/equipment", "")


def problems(statuses: Iterable[int]) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in sorted(statuses)}


def parameter(found: Parameter) -> dict[str, Any]:
    return {
        "name": found.name,
        "in": found.place,
        "required": found.required,
        "description": found.meaning,
        "schema": dict(found.schema),
    }


def path_parameter(name: str, schema: Mapping[str, Any], meaning: str) -> dict[str, Any]:
    return parameter(Parameter(name, "path", schema, meaning, required=True))


def parameter_ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/parameters/{name}"}


def header_refs(*names: str) -> dict[str, Any]:
    return {HEADER_NAMES.get(name, name): {"$ref": f"#/components/headers/{name}"} for name in names}


def tag_of(resource: Resource[Any]) -> str:
    return resource.path.partition("/")[0]


def camel(name: str) -> str:
    return name[0].lower() + name[1:]


def pascal(name: str) -> str:
    return "".join(map(str.capitalize, name.split("-")))


# Fixed parts

CARRIED = ("RequestId", "Traceparent")
ALWAYS = ("RequestId", "Traceparent", "RateLimit", "RateLimitPolicy")
HEADER_NAMES = {
    "RequestId": "X-Request-Id",
    "Traceparent": "traceparent",
    "RetryAfter": "Retry-After",
    "IdempotentReplayed": "Idempotent-Replayed",
    "PreferenceApplied": "Preference-Applied",
    "WWWAuthenticate": "WWW-Authenticate",
    "RateLimitPolicy": "RateLimit-Policy",
}

_header = partial(dict[str, Any], schema=TEXT)
HEADERS = {
    "RequestId": _header(description="Id of the request: the caller's, or a new one. Logs and messages carry it."),
    "Traceparent": _header(description="W3C trace context: the caller's, or a new one."),
    "Location": _header(description="Address of the new resource, or of the command's outcome.", example="/api/v1/x"),
    "Link": _header(
        description='The next page as `<...>; rel="next"`, absent on the last; of a command that was not accepted, '
        'the last other attempt at it as `<...>; rel="successor-version"`.'
    ),
    "ETag": _header(description='`"<version>-<digest>"` of the representation, `"<version>"` after a command.'),
    "Consistency": _header(description="`<partition>:<position>`: send it with a GET to read your write."),
    "IdempotentReplayed": _header(description="`true` where the command had been decided before."),
    "PreferenceApplied": _header(description="Which preferences were followed, `wait` as it was cut."),
    "RateLimit": _header(description='What is left of each window: `"resources-minute";r=998;t=42`.'),
    "RateLimitPolicy": _header(description='How much each window allows: `"resources-minute";q=1000;w=60`.'),
    "RetryAfter": {"description": "Seconds to wait before the next try.", "schema": {"type": "integer"}},
    "WWWAuthenticate": _header(description="What is wrong with the token, as RFC 6750 has it."),
}


def _request_header(name: str, meaning: str, schema: Schema, example: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": meaning, "schema": schema | {"examples": [example]}}


PARAMETERS = {
    "IdempotencyKey": _request_header(
        "Idempotency-Key",
        "Makes the request repeatable for 24 hours. A UUID becomes the command's id; any other text of up to 255 "
        "characters, bare or quoted, stands for one of the caller's own.",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        "0197c7a8-5f6e-7d3a-9b1c-2d3e4f5a6b7c",
    ),
    "Prefer": _request_header(
        "Prefer",
        "`wait=<seconds>`: how long to wait, for the outcome of a command or for the position of `Consistency`. "
        "`respond-async`: do not wait. Other preferences are ignored.",
        TEXT,
        "wait=5",
    ),
    "IfMatch": _request_header(
        "If-Match",
        "The version that the caller saw, as an ETag; another version is a problem 412.",
        {"type": "string", "pattern": r'^(\*|"[0-9]{1,9}(-[0-9a-f]+)?")$'},
        '"3-b5bb9d8014a0f9b1"',
    ),
    "IfNoneMatch": _request_header(
        "If-None-Match",
        "The ETag that the caller has; the same is answered by 304.",
        {"type": "string", "pattern": r'^(\*|"[0-9]{1,9}-[0-9a-f]+")$'},
        '"3-b5bb9d8014a0f9b1"',
    ),
    "Consistency": _request_header(
        "Consistency",
        "Wait until the views show this position: the header of an answer to a command.",
        {"type": "string", "pattern": "^[0-9]{1,3}:[0-9]{1,9}$"},
        "3:1042",
    ),
    "OperatorsCompany": {
        "name": "company_id",
        "in": "query",
        "description": "For operators only: the company that the command was for.",
        "schema": TEXT,
    },
    "RequestId": _request_header(
        "X-Request-Id",
        "Id of the request in answers, logs and messages; one that could do harm is replaced.",
        TEXT,
        "req-42",
    ),
    "Traceparent": _request_header(
        "traceparent",
        "W3C trace context; another text is replaced.",
        TEXT,
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
}

PENDING = {
    "type": "object",
    "description": "A command that is not decided yet.",
    "required": ["command_id", "status"],
    "properties": {"command_id": UUID, "status": {"const": "pending"}},
    "additionalProperties": False,
}

BULK_ANSWER = {
    "type": "object",
    "description": "What is known of each command, in the order in which they were given.",
    "required": ["outcomes"],
    "properties": {
        "outcomes": {
            "type": "array",
            "items": {
                "type": "object",
                "description": "An outcome with the address where it can be read; a `status` of pending where there is "
                "none yet; without `command_id` where the entry was no command and nothing was sent.",
                "required": ["status"],
                "properties": {
                    "command_id": UUID,
                    "command": LINK,
                    "status": TEXT,
                    "code": {"type": ["string", "null"]},
                },
            },
        }
    },
}

CHANGES = {
    "type": "object",
    "required": ["changes"],
    "properties": {
        "changes": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "from", "to"],
                "properties": {
                    "field": TEXT,
                    "from": {"description": "What it was; null: absent"},
                    "to": {"description": "What it has become; null: absent"},
                },
                "additionalProperties": False,
            },
        }
    },
    "additionalProperties": False,
}

PROBLEM = {
    "type": "object",
    "description": "What went wrong, as RFC 9457 has it.",
    "required": ["type", "title", "status", "detail", "instance", "code"],
    "properties": {
        "type": LINK | {"description": "Opens a page of help"},
        "title": {**TEXT, "description": "What the code means, always the same"},
        "status": {"type": "integer"},
        "detail": {**TEXT, "description": "What happened this time"},
        "instance": LINK | {"description": "Path of the request"},
        "code": {**TEXT, "description": "Stable name of the problem; there may be new ones"},
        "errors": {
            "type": "array",
            "description": "Every fault at once",
            "items": {
                "type": "object",
                "required": ["code", "detail"],
                "properties": {
                    "pointer": {**TEXT, "description": "JSON Pointer to the member of the body"},
                    "field": {**TEXT, "description": "The same, with dots"},
                    "parameter": {**TEXT, "description": "The query parameter"},
                    "code": TEXT,
                    "detail": TEXT,
                },
            },
        },
        "request_id": TEXT,
        "traceparent": TEXT,
        "command_id": {**UUID, "description": "The command that was refused, or that could not be published"},
        "command": LINK | {"description": "Address of the command's outcome"},
    },
}
