"""The contracts as JSON, the page to try them out, and the help page of each problem: all served from here."""

import hashlib
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path

import orjson
from aiohttp import web

from api import asyncapi, headers, openapi
from api.door import JSON
from api.problems import ProblemType, all_types, not_found

STATIC = Path(__file__).parent / "static"
FILES = {
    "swagger-ui.css": (STATIC / "swagger" / "swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": (STATIC / "swagger" / "swagger-ui-bundle.js", "text/javascript"),
    "start.js": (STATIC / "start.js", "text/javascript"),
    "page.css": (STATIC / "page.css", "text/css"),
}
HTML = "text/html"
#: Swagger UI draws its arrows as data: images; nothing else comes from anywhere but here.
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HELP_POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


CONTRACTS = {"/openapi.json": openapi.document, "/asyncapi.json": asyncapi.document}


@cache
def contract(path: str) -> bytes:
    """The document at this path, made when it is first asked for: that takes a good part of a second."""
    return orjson.dumps(CONTRACTS[path]())


class Docs:
    def routes(self) -> Iterator[web.RouteDef]:
        for path in CONTRACTS:
            yield web.get(path, self.contract)
        yield web.get("/docs", self.page)
        yield web.get("/docs/{file}", self.file)
        yield web.get("/problems", self.problems)
        yield web.get("/problems/{code}", self.problem)

    async def contract(self, request: web.Request) -> web.Response:
        return kept(request, contract(request.path), JSON)

    async def page(self, request: web.Request) -> web.Response:
        return kept(request, (STATIC / "docs.html").read_bytes(), HTML, PAGE_POLICY)

    async def file(self, request: web.Request) -> web.Response:
        found = FILES.get(request.match_info["file"])
        if found is None:
            raise not_found()
        path, content_type = found
        return kept(request, path.read_bytes(), content_type)

    async def problems(self, request: web.Request) -> web.Response:
        rows = "".join(
            f'<li><a href="/problems/{found.code}">{found.status} {found.code}</a>: {escape(found.title)}</li>'
            for found in all_types().values()
        )
        return kept(request, _html("Problems", f"<ul>{rows}</ul>"), HTML, HELP_POLICY)

    async def problem(self, request: web.Request) -> web.Response:
        found = all_types().get(request.match_info["code"])
        if found is None:
            raise not_found()
        return kept(request, help_page(found), HTML, HELP_POLICY)


def help_page(found: ProblemType) -> bytes:
    text = (
        f"<p>Status {found.status}, code <code>{found.code}</code></p><p>{escape(found.title)}</p>"
        f"<h2>What to do</h2><p>{escape(found.advice)}</p>"
        '<p><a href="/problems">All problems</a>, <a href="/docs">API documentation</a></p>'
    )
    return _html(found.code, text)


def _html(title: str, body: str) -> bytes:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/docs/page.css"></head>'
        f"<body><main><h1>{title}</h1>{body}</main></body></html>"
    ).encode()


def kept(request: web.Request, body: bytes, content_type: str, policy: str | None = None) -> web.Response:
    """A document that caches keep and ask for again; its ETag is weak, since it may be sent compressed."""
    etag = hashlib.sha256(body).hexdigest()[:16]
    hints = {"ETag": f'W/"{etag}"', "Cache-Control": "public, no-cache"}
    if policy:
        hints["Content-Security-Policy"] = policy
    if headers.is_known(request.headers, etag):
        return web.Response(status=304, headers=hints)
    charset = None if content_type == JSON else "utf-8"
    return web.Response(body=body, content_type=content_type, charset=charset, headers=hints)
