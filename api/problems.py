"""Every no of the API: RFC 9457 problems with a stable code, and the page that explains each code.

The codes of the business are declared beside its rules; those listed here are the door's own.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from aiohttp import web

from domain.credential import one_time_token_refused, second_factor_needed
from domain.decider import Kind, Refusal
from domain.engine import failed, invalid, version_conflict
from domain.rejections import STATUS
from views.outcomes import OutcomeItem

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True)
class ProblemType:
    """One sort of problem: what it means, and what whoever sees it should do."""

    code: str
    status: int
    title: str
    advice: str

    def __call__(self, detail: str = "", **extra: Any) -> "Problem":
        return Problem(self, detail or self.title, **extra)


@dataclass(eq=False)
class Problem(Exception):
    """One occurrence of a problem; raised by handlers and answered by `manners.problems`.

    `errors` names every fault at once, `members` are further members of the JSON object; `closes` ends the
    connection, since the rest of the request will not be read.
    """

    type: ProblemType
    detail: str
    errors: tuple[Mapping[str, Any], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, Any] = field(default_factory=dict)
    closes: bool = False

    def body(self, instance: str, base: str = "") -> dict[str, Any]:
        """The JSON object; `base` is the API's public URL."""
        plain = {
            "type": help_path(self.type.code, base),
            "title": self.type.title,
            "status": self.type.status,
            "detail": self.detail,
            "instance": instance,
            "code": self.type.code,
        }
        return plain | ({"errors": list(self.errors)} if self.errors else {}) | dict(self.members)


def help_path(code: str, base: str = "") -> str:
    return f"{base}/problems/{code}"


def answer(problem: Problem, body: Mapping[str, Any]) -> web.Response:
    headers = {"Cache-Control": "no-store", **problem.headers}
    response = web.Response(
        status=problem.type.status, body=json.dumps(body).encode(), content_type=CONTENT_TYPE, headers=headers
    )
    if problem.closes:
        response.force_close()
    return response


REPEAT = "Repeat the request with the same Idempotency-Key: a command that was taken is not taken twice."

malformed = ProblemType(
    "malformed", 400, "The request cannot be read.", "Send UTF-8 JSON without repeated keys, NaN or deep nesting."
)
bad_parameters = ProblemType(
    "bad-parameters", 400, "Some query parameters are wrong.", "Mend each parameter that `errors` names."
)
bad_header = ProblemType("bad-header", 400, "A request header is wrong.", "Mend the header that `detail` names.")
token_missing = ProblemType(
    "token-missing", 401, "The request carries no access token.", "Send `Authorization: Bearer <token>`."
)
token_refused = ProblemType(
    "token-refused", 401, "The access token is not accepted.", "Get a new token and send the request again."
)
sign_in_refused = ProblemType(
    "sign-in-refused",
    401,
    "Company, e-mail, password or code is wrong.",
    "Check them; after several failures the next attempt has to wait.",
)
locked_out = ProblemType(
    "locked-out",
    429,
    "Too many sign-ins have failed.",
    "Wait as long as `Retry-After` says; a one-time token of an admin sets a new password at once.",
)
session_over = ProblemType("session-over", 401, "The session has ended.", "Sign in again.")
password_wrong = ProblemType(
    "password-wrong", 403, "The present password or code is wrong.", "Send the one that you sign in with."
)
not_permitted = ProblemType(
    "not-permitted", 403, "The caller is not of the kind that may do this.", "Use the token of a user of the company."
)
key_shown = ProblemType(
    "key-shown",
    409,
    "The request made its key before, and the secret was shown then.",
    "Nothing was made now, and the secret is kept nowhere. If the answer was lost, revoke the key and make another.",
)
not_found = ProblemType(
    "not-found", 404, "There is nothing at this address.", "Check the address; what another company owns is not shown."
)
not_retryable = ProblemType(
    "not-retryable",
    409,
    "The dead letter cannot be tried again.",
    "`detail` says why; send a new command instead, or discard the letter.",
)
not_undoable = ProblemType(
    "not-undoable",
    409,
    "The command cannot be taken back.",
    "Send the commands that bring about what you want instead.",
)
command_unknown = ProblemType(
    "command-unknown",
    404,
    "No command of yours has this id.",
    "Check the id. Outcomes are kept for 30 days, and only the actor who sent a command sees it.",
)
method_not_allowed = ProblemType(
    "method-not-allowed", 405, "The address takes other methods.", "Use a method that the `Allow` header names."
)
not_acceptable = ProblemType(
    "not-acceptable", 406, "The answer has none of the media types asked for.", "Accept application/json."
)
too_slow = ProblemType("too-slow", 408, "The request body did not arrive in time.", REPEAT)
body_too_large = ProblemType(
    "body-too-large", 413, "The request body is too large.", "Send less; the limit is in `detail`."
)
unsupported_media_type = ProblemType(
    "unsupported-media-type",
    415,
    "The request body is not of a media type we read.",
    "Send `Content-Type: application/json` in UTF-8, without Content-Encoding.",
)
quota_exceeded = ProblemType(
    "quota-exceeded",
    429,
    "There were too many requests.",
    "Repeat the request after `Retry-After` seconds; `RateLimit` says in every answer how much is left.",
)
headers_too_large = ProblemType(
    "headers-too-large", 431, "The request line or a header is too large.", "Send at most 8 KB in each."
)
internal_error = ProblemType(
    "internal-error", 500, "The request failed by a fault of ours.", f"Tell us the request id. {REPEAT}"
)
kafka_away = ProblemType("kafka-away", 503, "Commands cannot be taken right now.", REPEAT)
overloaded = ProblemType(
    "overloaded",
    503,
    "More commands wait for a decision than this process takes.",
    "Nothing was taken. Repeat the request after `Retry-After` seconds.",
)
sign_in_away = ProblemType(
    "sign-in-away", 503, "Nobody can sign in right now.", "Repeat the request after `Retry-After` seconds."
)
database_away = ProblemType(
    "database-away", 503, "Views cannot be read right now.", "Repeat the request after `Retry-After` seconds."
)
identity_provider_away = ProblemType(
    "identity-provider-away",
    503,
    "The provider of the token's identity does not answer.",
    "Repeat the request after `Retry-After` seconds.",
)
views_behind = ProblemType(
    "views-behind",
    503,
    "The views have not reached the position that the Consistency header names.",
    "Repeat the request after `Retry-After` seconds, or leave the header out to read what there is.",
)

OWN_TYPES = tuple(found for found in list(globals().values()) if isinstance(found, ProblemType))

ADVICE_OF_KIND = {
    Kind.INVALID: "Mend what `detail` and `errors` name, and send a new command (another Idempotency-Key).",
    Kind.UNAUTHENTICATED: "Tell an operator: the process that you asked could not prove to the lanes who it is.",
    Kind.FORBIDDEN: "Ask somebody whose roles permit it.",
    Kind.MISSING: "Check the id; what another company owns is not shown.",
    Kind.CONFLICT: "Look at the resource as it is now, and decide anew.",
    Kind.STALE: "Read the resource again, and repeat with its new ETag if the change is still wanted.",
}


#: Where the kind of a refusal does not say what to do.
ADVICE = {
    second_factor_needed.code: "Send the request again with `code`, or with `recovery_code`.",
    one_time_token_refused.code: "Ask an admin of the company for another.",
}


def of_refusal(refusal: Refusal) -> ProblemType:
    """The problem that a refusal of the business becomes."""
    if refusal is failed:
        return ProblemType(refusal.code, 500, refusal.meaning, "Nothing was changed; send a new command later.")
    advice = ADVICE.get(refusal.code, ADVICE_OF_KIND[refusal.kind])
    return ProblemType(refusal.code, STATUS[refusal.kind], refusal.meaning, advice)


version_conflicting = of_refusal(version_conflict)
fields_wrong = of_refusal(invalid)


@cache
def all_types() -> Mapping[str, ProblemType]:
    """Every problem there is, by code."""
    found = [*map(of_refusal, Refusal.known.values()), *OWN_TYPES]
    return {type_.code: type_ for type_ in sorted(found, key=lambda type_: (type_.status, type_.code))}


def of_outcome(outcome: OutcomeItem) -> ProblemType:
    """The problem that a refused command becomes; lanes of a newer build may know more codes than we do."""
    code, kind = outcome.code or "rejected", Kind(outcome.kind or Kind.CONFLICT)
    newer = ProblemType(code, STATUS[kind], "The command was refused.", ADVICE_OF_KIND[kind])
    return all_types().get(code, newer)


def as_markdown(types: Iterable[ProblemType]) -> str:
    """The page that lists every problem, for the documentation."""
    lines = [
        "# Problems\n",
        "Every refusal of the API is an RFC 9457 problem: `application/problem+json` with `type`, `title`, `status`,",
        "`detail`, `instance`, a stable `code`, and `errors` that name every fault at once. This page is generated by",
        "`python -m api.contracts`; the API serves the same text at each problem's `type`.\n",
        "| status | code | meaning | what to do |",
        "|---|---|---|---|",
        *(f"| {type_.status} | `{type_.code}` | {type_.title} | {type_.advice} |" for type_ in types),
    ]
    return "\n".join(lines) + "\n"
