"""The published contracts say what the code does."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from aiohttp import web
from openapi_spec_validator import validate

from api import asyncapi, openapi
from api.app import make_app
from api.contracts import contracts
from api.problems import all_types
from domain import EVENTS, OFFERED
from tests.api.callers import Api
from topics.settings import Settings

ASYNCAPI_SCHEMA = Path(__file__).parent / "asyncapi" / "schema-3.0.0.json"
METHODS = ("get", "post")


@pytest.mark.parametrize(("path", "text"), list(contracts()), ids=lambda value: getattr(value, "name", ""))
def test_the_files_in_docs_are_those_of_the_code(path: Path, text: str) -> None:
    assert path.read_text() == text, f"{path.name} is old; run: python -m api.contracts"


@pytest.mark.thorough
def test_the_openapi_document_is_valid() -> None:
    validate(openapi.document())


def test_the_asyncapi_document_is_valid() -> None:
    schema = jsonschema_rs.validator_for(json.loads(ASYNCAPI_SCHEMA.read_text()))
    assert not [str(fault) for fault in schema.iter_errors(asyncapi.document())]


@pytest.mark.parametrize("document", [openapi.document(), asyncapi.document()], ids=["openapi", "asyncapi"])
def test_no_reference_dangles_and_nothing_is_left_over(document: dict[str, Any]) -> None:
    used = {reference for place in walk(document) for reference in [place.get("$ref")] if isinstance(reference, str)}
    for reference in used:
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    named = {f"#/components/{kind}/{name}" for kind in document["components"] for name in document["components"][kind]}
    assert {name for name in named - used if "/securitySchemes/" not in name} == set()


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(inner)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in openapi.document()["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def test_openapi_lists_exactly_the_routes_that_there_are() -> None:
    app = make_app(Settings(kafka="127.0.0.1:1", database="postgresql://nobody@127.0.0.1:1/none"))
    routes = {
        (route.resource.canonical, route.method.lower())
        for route in app.router.routes()
        if isinstance(route.resource, web.Resource) and route.method != "HEAD"
    }
    assert routes == {(path, method) for path, method, _ in operations()}


def test_every_operation_has_a_name_of_its_own_a_summary_and_its_errors() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)
    for path, method, operation in operations():
        assert operation["summary"], path
        if path.startswith("/api/"):
            assert {"400", "401", "404", "406", "500", "503"} <= set(operation["responses"])
        if method == "post":
            assert "202" in operation["responses"] or "auth" in operation["tags"]
            assert {"403", "409", "412", "413", "415", "422"} <= set(operation["responses"])


def test_every_code_is_an_example_of_its_status() -> None:
    responses = openapi.document()["components"]["responses"]
    examples = {
        code: int(name.removeprefix("Problem"))
        for name, response in responses.items()
        for code in response["content"]["application/problem+json"]["examples"]
    }
    assert examples == {found.code: found.status for found in all_types().values() if found.status != 405}


@pytest.mark.thorough
def test_the_example_of_every_command_is_accepted_by_its_class_and_its_schema() -> None:
    document = openapi.document()
    bodies = {
        operation["operationId"]: operation["requestBody"]
        for _, method, operation in operations()
        if method == "post" and "requestBody" in operation
    }
    for rule in OFFERED.values():
        content = bodies[openapi.camel(rule.command.__name__)]["content"]["application/json"]
        rule.command.model_validate_json(json.dumps({rule.decider.key: "ex-7"} | content["example"]))
        schema = {**content["schema"], "components": document["components"]}
        jsonschema_rs.validate(schema, content["example"])


def test_asyncapi_has_every_command_and_every_event() -> None:
    messages = asyncapi.document()["components"]["messages"].values()
    types = {message["name"] for message in messages}
    assert types >= set(OFFERED) | set(EVENTS)


@pytest.mark.thorough
def test_the_example_of_every_message_fits_its_schema() -> None:
    document = asyncapi.document()
    for message in document["components"]["messages"].values():
        for example in message.get("examples", ()):
            jsonschema_rs.validate({**message["payload"], "components": document["components"]}, example["payload"])


def test_both_documents_are_served(door: Api) -> None:
    assert door.nobody().get("/openapi.json").json() == openapi.document()
    assert door.nobody().get("/asyncapi.json").json() == asyncapi.document()


def test_no_document_names_a_company_or_a_place_of_ours() -> None:
    text = json.dumps([openapi.document(), asyncapi.document()])
    assert not re.findall(r"(?:https?://(?!login\.example\.com)|/work/|/tmp/)[^\"]*", text)
