"""What requests about signing in hold and what they answer; routes and the OpenAPI document follow from the list."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from domain.model import CompanyId, Email, Id

Password = Annotated[str, StringConstraints(min_length=1, max_length=512), Field(examples=["correct horse battery"])]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$"), Field(examples=["123456"])]


class Asked(BaseModel):
    """What a request holds: unknown fields are refused, nothing is coerced."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Login(Asked):
    """Company, e-mail and password, and a code of the second factor where one is enrolled."""

    company_id: CompanyId
    email: Email
    password: Password
    code: Code | None = None
    recovery_code: Secret | None = None

    @model_validator(mode="after")
    def _one_code(self) -> Self:
        if self.code and self.recovery_code:
            raise ValueError("send a code or a recovery code, not both")
        return self


class Refresh(Asked):
    """The refresh token that was given last."""

    refresh_token: Secret


class NewPassword(Asked):
    """The present password and the one to be."""

    old_password: Password
    new_password: Password


class Forgotten(Asked):
    """Whose password is forgotten."""

    company_id: CompanyId
    email: Email


class Reset(Asked):
    """A one-time token, whose it is (by id or e-mail), and the new password."""

    company_id: CompanyId
    user_id: Id | None = None
    email: Email | None = None
    token: Secret
    new_password: Password

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if (self.user_id is None) == (self.email is None):
            raise ValueError("name the user by user_id or by email")
        return self


class OfUser(Asked):
    """A user of the company."""

    user_id: Id


class Confirmed(Asked):
    """The present password once more."""

    password: Password


class FirstCode(Asked):
    """A code of the authenticator."""

    code: Code


class Removal(Asked):
    """One's own password, or, for an admin, the user whose second factor is lost."""

    password: Password | None = None
    user_id: Id | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.password is None) == (self.user_id is None):
            raise ValueError("send your own password, or as an admin the user_id of another")
        return self


class Told(BaseModel):
    """What an answer holds."""

    model_config = ConfigDict(frozen=True)


class Tokens(Told):
    """An access token for `Authorization: Bearer`, its seconds, and what to get the next one with, once."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  (the sort of token)
    expires_in: int
    refresh_token: str


class Invitation(Told):
    """A token that sets the user's password, once and until then; it is shown this once."""

    user_id: str
    one_time_token: str
    expires_at: datetime


class Enrolment(Told):
    """The key of the second factor, and the same as an address for authenticators; shown this once."""

    secret: str
    uri: str


class RecoveryCodes(Told):
    """Each of them counts once in place of a code; shown this once."""

    recovery_codes: tuple[str, ...]


@dataclass(frozen=True)
class Route:
    """One path below `/auth/`: what it is called, what it does, takes and answers; `open` needs no access token."""

    path: str
    name: str
    summary: str
    body: type[Asked]
    status: int
    answer: type[Told] | None = None
    open: bool = False


ROUTES = (
    Route("login", "login", "Sign in with a password, and a code where one is needed", Login, 200, Tokens, open=True),
    Route("refresh", "refresh", "Get new tokens for the refresh token given last", Refresh, 200, Tokens, open=True),
    Route("logout", "logout", "End the session of a refresh token", Refresh, 204, open=True),
    Route("password", "change_password", "Change one's own password; other sessions end", NewPassword, 204),
    Route("password/forgot", "forgot", "Ask for a new password", Forgotten, 202, open=True),
    Route("password/reset", "reset", "Set the password by a one-time token", Reset, 204, open=True),
    Route("invitations", "invite", "Make a one-time token for a user, as an admin", OfUser, 201, Invitation),
    Route("sessions/revoke", "revoke", "End all sessions of a user: oneself, or as an admin anybody", OfUser, 204),
    Route("totp/enrol", "enrol", "Begin with a second factor", Confirmed, 200, Enrolment),
    Route("totp/confirm", "confirm", "Let the second factor count", FirstCode, 200, RecoveryCodes),
    Route("totp/remove", "remove", "Let the password alone suffice again", Removal, 204),
)
