"""Logs: one JSON object per line, or readable lines on a terminal; what libraries log comes out the same way."""

import json
import logging
import re
import sys
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

import orjson
import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

from topics.settings import Settings

SECRET_NAMES = ("token", "password", "secret", "authorization", "dsn", "private_key")
HIDDEN = "***"
TALKATIVE = ("faust", "mode", "aiokafka", "librdkafka", "aiohttp", "asyncio")

_PASSWORD_IN_URL = re.compile(r"(://[^:/@\s]*:)[^@\s]+(?=@)")
_BEARER = re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL_IN_LINES = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def configure(settings: Settings, process: str) -> None:
    """Send this process's logs to stderr; every line names the process."""
    text = settings.log_format == "text" or (settings.log_format == "auto" and sys.stderr.isatty())
    level = getattr(logging, settings.log_level.upper())
    chain = _chain(process)
    structlog.configure(
        processors=[*chain, *(_text() if text else [_json_bytes])],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr)
        if text
        else structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    _route_logging(chain, _text() if text else [_json_text])


def about(
    *,
    company: str | None = None,
    command: UUID | str | None = None,
    position: str | None = None,
    trace: str | None = None,
) -> AbstractContextManager[None]:
    """Everything logged inside carries these ids. A position is `<partition>:<position>`."""
    ids = {"company": company, "command": command, "position": position, "trace": trace}
    return bound_contextvars(**{name: str(found) for name, found in ids.items() if found is not None})


def _chain(process: str) -> list[Processor]:
    def named(logger: WrappedLogger, method: str, entry: EventDict) -> EventDict:
        return {**entry, "process": process}

    return [
        merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        named,
        structlog.processors.format_exc_info,
        redact,
    ]


def redact(logger: WrappedLogger, method: str, entry: EventDict) -> EventDict:
    """Hide values by the names of their keys, and passwords in URLs and bearer tokens wherever they stand."""
    return {name: _redacted(name, value) for name, value in entry.items()}


def _redacted(name: Any, value: Any) -> Any:
    if any(secret in str(name).lower() for secret in SECRET_NAMES):
        return HIDDEN
    if isinstance(value, str):
        return _BEARER.sub(rf"\1{HIDDEN}", _PASSWORD_IN_URL.sub(rf"\1{HIDDEN}", value))
    if isinstance(value, dict):
        return {inner: _redacted(inner, found) for inner, found in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted("", found) for found in value]
    return value


def _text() -> list[Processor]:
    return [_harmless, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]


def _harmless(logger: WrappedLogger, method: str, entry: EventDict) -> EventDict:
    """Control characters as escapes, so that no logged value can make lines or colours of its own."""
    return {
        name: (_CONTROL_IN_LINES if name == "exception" else _CONTROL).sub(_escaped, value)
        if isinstance(value, str)
        else value
        for name, value in entry.items()
    }


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _json_bytes(logger: WrappedLogger, method: str, entry: EventDict) -> bytes:
    try:
        return orjson.dumps(entry, default=repr, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # lone surrogates, integers beyond 64 bits: a log line must never fail
        return json.dumps(entry, default=repr, skipkeys=True).encode()


def _json_text(logger: WrappedLogger, method: str, entry: EventDict) -> str:
    return _json_bytes(logger, method, entry).decode()


class Repeats(logging.Filter):
    """Lets a line of a library through once in some seconds: without a broker they say the same 40 times a second."""

    def __init__(self, seconds: float = 10.0) -> None:
        super().__init__()
        self._seconds = seconds
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        line = (record.name, str(record.msg)[:200])
        if record.created - self._last.get(line, 0.0) < self._seconds:
            return False
        if len(self._last) > 1000:
            self._last.clear()
        self._last[line] = record.created
        return True


def _route_logging(chain: list[Processor], ending: list[Processor]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Repeats())
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    named = structlog.stdlib.add_logger_name
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[named, *chain], processors=[remove_meta, *ending])
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for library in TALKATIVE:
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.captureWarnings(True)
