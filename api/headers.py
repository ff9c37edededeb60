"""What request headers say, in values: idempotency keys, preferences, versions, positions, media types."""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import NAMESPACE_URL, UUID, uuid5

import uuid_utils.compat
from multidict import CIMultiDictProxy

from api.problems import bad_header, version_conflicting

Headers = CIMultiDictProxy[str]

UUID_TEXT = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
PRINTABLE = re.compile(r"[ -~]{1,255}")
PREFERENCE = re.compile(r"\s*([a-z-]+)\s*(?:=\s*\"?([^\";]*)\"?)?\s*(?:;.*)?", re.IGNORECASE)
ETAG = re.compile(r'(W/)?"([!#-~\x80-\xff]*)"')
OUR_ETAG = re.compile(r"([0-9]{1,18})(-[0-9a-zA-Z_-]+)?")
POSITION = re.compile(r"([0-9]{1,6}):([0-9]{1,18})")
TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
REQUEST_ID = re.compile(r"[A-Za-z0-9._:/=+-]{1,128}")


def single(headers: Headers, name: str) -> str | None:
    """The header's value; a repeated header is a problem, since two values would mean two things."""
    values = headers.getall(name, [])
    if len(values) > 1:
        raise bad_header(f"{name} is given {len(values)} times.")
    return values[0].strip() if values else None


def command_id(headers: Headers, scope: str) -> UUID:
    """The id that the client chose by `Idempotency-Key`, else a new one.

    A UUID is taken as it is; any other text stands for one UUID within `scope`, so that keys of several senders
    cannot meet.
    """
    text = single(headers, "Idempotency-Key")
    if text is None:
        return uuid_utils.compat.uuid7()
    quoted = QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    if not PRINTABLE.fullmatch(key):
        raise bad_header("Idempotency-Key must be 1 to 255 printable ASCII characters, bare or in quotes.")
    return UUID(key) if UUID_TEXT.fullmatch(key) else uuid5(NAMESPACE_URL, f"bitcorp:command:{scope}:{key}")


@dataclass(frozen=True)
class Preference:
    """What `Prefer` asks of the answer: at most `wait` seconds of patience; None where it does not say."""

    wait: int | None = None
    applied: tuple[str, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        return {"Preference-Applied": ", ".join(self.applied)} if self.applied else {}


def preference(headers: Headers, longest: float) -> Preference:
    """`wait=n`, cut to `longest`, and `respond-async`; RFC 7240 has unknown and broken preferences ignored."""
    stated: dict[str, str] = {}
    for found in map(PREFERENCE.fullmatch, ",".join(headers.getall("Prefer", [])).split(",")):
        if found:
            stated.setdefault(found[1].lower(), (found[2] or "").strip())
    seconds = stated.get("wait", "")
    wait = min(int(seconds), int(longest)) if re.fullmatch(r"[0-9]{1,9}", seconds) else None
    applied = [f"wait={wait}"] if wait is not None else []
    return Preference(wait, (*applied, *(["respond-async"] if "respond-async" in stated else [])))


def expected_version(headers: Headers) -> int | None:
    """The version that `If-Match` asks for: of `"<version>-<digest>"` or `"<version>"`.

    `*` asks for none: a command on what does not exist is refused anyway. Weak tags and those that are not ours match
    nothing, as RFC 9110 has it.
    """
    text = _joined(headers, "If-Match")
    if text in (None, "*"):
        return None
    versions = {int(ours[1]) for tag in strong_tags(text) if (ours := OUR_ETAG.fullmatch(tag))}
    if not versions:
        raise version_conflicting("If-Match names no version that the resource can have.")
    if len(versions) > 1:
        raise bad_header("If-Match names several versions; send the one that you saw.")
    return versions.pop()


def strong_tags(text: str) -> Iterator[str]:
    """Opaque parts of the strong entity tags in a list."""
    for weak, opaque in tags(text, "If-Match"):
        if not weak:
            yield opaque


def tags(text: str, name: str) -> Iterator[tuple[bool, str]]:
    """Whether weak, and the opaque part, of each entity tag in the list."""
    for part in text.split(","):
        found = ETAG.fullmatch(part.strip())
        if found is None:
            raise bad_header(f'{name} must be * or entity tags such as "3-b5bb9d80".')
        yield bool(found[1]), found[2]


def is_known(headers: Headers, etag: str) -> bool:
    """Whether `If-None-Match` names the opaque tag; weak comparison."""
    text = _joined(headers, "If-None-Match")
    if text in (None, "*"):
        return text == "*"
    return etag in [opaque for _, opaque in tags(text, "If-None-Match")]


def _joined(headers: Headers, name: str) -> str | None:
    """A list header that may be given in several lines; None where it is not given."""
    return ",".join(headers.getall(name)).strip() if name in headers else None


def position(headers: Headers) -> tuple[int, int] | None:
    """Partition and position that `Consistency` asks to wait for."""
    text = single(headers, "Consistency")
    if text is None:
        return None
    found = POSITION.fullmatch(text)
    if found is None:
        raise bad_header("Consistency must be <partition>:<position>, as an answer to a command gave it.")
    return int(found[1]), int(found[2])


def accepts(headers: Headers, offered: str) -> bool:
    """Whether `Accept` takes the media type; of several ranges the most exact one counts."""
    ranges = ",".join(headers.getall("Accept", [])) or "*/*"
    wanted = dict(_media_range(part) for part in ranges.split(",") if part.strip())
    kind = offered.partition("/")[0]
    return next((wanted[name] for name in (offered, f"{kind}/*", "*/*") if name in wanted), 0.0) > 0


def _media_range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
    return name, float(quality) if re.fullmatch(r"[01](\.[0-9]{0,3})?", quality) else 0.0


def accepts_gzip(headers: Headers) -> bool:
    codings = dict(_media_range(part) for part in ",".join(headers.getall("Accept-Encoding", [])).split(","))
    return codings.get("gzip", codings.get("*", 0.0)) > 0


def request_id(headers: Headers) -> str:
    """The caller's `X-Request-Id` if it is harmless in headers and logs, else a new one."""
    given = headers.get("X-Request-Id", "")
    return given if REQUEST_ID.fullmatch(given) else str(uuid_utils.compat.uuid7())


def traceparent(headers: Headers) -> str:
    """The caller's W3C trace context, else the start of a new trace."""
    given = headers.get("traceparent", "")
    return given if TRACEPARENT.fullmatch(given) else f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
