"""Signing in: passwords by their versions, second factors, sessions, lockout; each once, never from plain secrets."""

from datetime import timedelta

import pytest

from domain.credential import (
    LONGEST_SESSION,
    MOST_SESSIONS,
    ChangePassword,
    ConfirmTotp,
    EnrolTotp,
    IssueOneTimeToken,
    PasswordSet,
    RecordFailedSignIn,
    RefreshTokenReused,
    RemoveTotp,
    RevokeSessions,
    SessionRefreshed,
    SessionsRevoked,
    SetPassword,
    SignedIn,
    SignedOut,
    SignIn,
    SignInFailed,
    SignOut,
    TotpRemoved,
    lock_after,
)
from tests.domain.credentials import (
    API,
    CODES,
    CONFIRMED,
    ENROLLED,
    ENROLMENT,
    ENROLMENT_BEGUN,
    FAMILY,
    FIRST,
    GUARDED,
    HASH,
    HOUR,
    INVITED,
    OLD,
    PASSWORD,
    REFRESH,
    SECOND,
    SET,
    SIGNED_IN,
    THIRD,
    reuse,
)
from tests.domain.scenario import NOW, Story, given

LATER = NOW + timedelta(hours=2)
OTHER = "b" * 32
ENTER = SignIn(user_id="tess", password_version=1, family_id=OTHER, digest=SECOND, lifetime_seconds=HOUR)
ENTERED = SignedIn(
    user_id="tess",
    family_id=OTHER,
    digest=SECOND,
    expires_at=NOW + timedelta(hours=1),
    ends_at=NOW + LONGEST_SESSION,
)
WRONG = RecordFailedSignIn(user_id="tess", password_version=1)


def failed(times: int, minutes: int = 0) -> SignInFailed:
    until = NOW + timedelta(minutes=minutes) if minutes else None
    return SignInFailed(user_id="tess", failures=times, locked_until=until)


# --- one-time tokens ------------------------------------------------------------------------------------------------

INVITE = IssueOneTimeToken(user_id="tess", digest=FIRST, lifetime_seconds=HOUR, requested_by="user:ada")


def test_a_person_is_invited_by_a_token_and_a_repeat_adds_nothing() -> None:
    given().when(INVITE, by=API).then(INVITED).when(INVITE, by=API).then_nothing()


def test_another_token_replaces_the_first() -> None:
    again = INVITE.model_copy(update={"digest": SECOND})
    after = given(INVITED).when(again, by=API).then(INVITED.model_copy(update={"digest": SECOND}))
    use = SetPassword(user_id="tess", one_time_digest=FIRST, password_hash=HASH)
    after.when(use, by=API).then_rejected("one-time-token-refused")


def test_nobody_but_the_api_sends_such_commands() -> None:
    for actor in ("user:ada", "operator:root", "key:k1", "system:planner"):
        given(INVITED).when(INVITE, by=actor).then_rejected(
            "forbidden" if actor.startswith("operator") else "actor-unknown"
        )


# --- passwords ------------------------------------------------------------------------------------------------------

USE = SetPassword(user_id="tess", one_time_digest=FIRST, password_hash=HASH)
CHANGE = ChangePassword(user_id="tess", password_version=1, password_hash=HASH, kept=FAMILY)
CHANGED = PasswordSet(user_id="tess", password_version=2, password_hash=HASH)


def test_a_one_time_token_sets_the_password_once() -> None:
    after = given(INVITED).when(USE, by=API).then(PASSWORD)
    after.when(USE, by=API).then_rejected("one-time-token-refused")


def test_a_one_time_token_counts_until_it_expires() -> None:
    given(INVITED).when(USE, by=API, at=LATER).then_rejected("one-time-token-refused")


def test_a_wrong_one_time_token_sets_nothing() -> None:
    wrong = USE.model_copy(update={"one_time_digest": SECOND})
    given(INVITED).when(wrong, by=API).then_rejected("one-time-token-refused")
    SET.when(USE, by=API).then_rejected("one-time-token-refused")
    given().when(USE, by=API).then_rejected("credential-unknown")


def test_who_sets_the_password_by_a_token_ends_all_sessions_and_the_lock() -> None:
    story = SIGNED_IN.and_then([failed(9, 60)]).and_then([INVITED])
    after = story.when(USE, by=API).then(CHANGED, SessionsRevoked(user_id="tess"))
    after.when(ENTER.model_copy(update={"password_version": 2}), by=API).then(ENTERED)


def test_a_changed_password_ends_every_session_but_the_one_it_was_changed_in() -> None:
    SIGNED_IN.when(CHANGE, by=API).then(CHANGED).when(REFRESH, by=API)
    elsewhere = CHANGE.model_copy(update={"kept": OTHER})
    after = SIGNED_IN.when(elsewhere, by=API).then(CHANGED, SessionsRevoked(user_id="tess", kept=OTHER))
    after.when(REFRESH, by=API).then_rejected("session-ended")


def test_a_password_is_changed_once_by_who_knew_the_last_one() -> None:
    after = SIGNED_IN.when(CHANGE, by=API).then(CHANGED)
    after.when(CHANGE, by=API).then_rejected("password-moved")


# --- signing in -----------------------------------------------------------------------------------------------------


def test_the_right_password_begins_a_session_and_a_repeat_adds_nothing() -> None:
    SET.when(ENTER, by=API).then(ENTERED).when(ENTER, by=API).then_nothing()


def test_a_password_that_was_changed_meanwhile_begins_nothing() -> None:
    stale = ENTER.model_copy(update={"password_version": 2})
    SET.when(stale, by=API).then_rejected("password-moved")
    SET.when(WRONG.model_copy(update={"password_version": 2}), by=API).then_rejected("password-moved")


def test_a_session_does_not_last_longer_than_all_do() -> None:
    long = ENTER.model_copy(update={"lifetime_seconds": 90 * 24 * HOUR})
    SET.when(long, by=API).then(ENTERED.model_copy(update={"expires_at": NOW + LONGEST_SESSION}))


def test_the_oldest_session_of_too_many_ends() -> None:
    story: Story = SIGNED_IN
    for number in range(MOST_SESSIONS):
        again = ENTER.model_copy(update={"family_id": f"{number:032x}", "digest": f"{number:064x}"})
        story = story.when(again, by=API).story
    story.when(REFRESH, by=API).then_rejected("session-ended")


def test_after_some_failures_the_next_has_to_wait_ever_longer() -> None:
    minutes = [int(lock_after(failures).total_seconds() // 60) for failures in (1, 4, 5, 6, 7, 10, 11, 12, 10_000)]
    assert minutes == [0, 0, 1, 2, 4, 32, 60, 60, 60]


def test_a_failure_is_counted_and_the_fifth_locks() -> None:
    story = SET.when(WRONG, by=API).then_refused_but("sign-in-failed", failed(1))
    story = story.and_then([failed(4)])
    story.when(WRONG, by=API).then_refused_but("sign-in-failed", failed(5, 1))


def test_while_locked_neither_the_right_nor_a_wrong_password_is_looked_at() -> None:
    story = SET.and_then([failed(5, 1)])
    story.when(ENTER, by=API).then_rejected("sign-in-locked", "retry-after")
    story.when(WRONG, by=API).then_rejected("sign-in-locked", "retry-after")
    story.when(CHANGE, by=API).then_rejected("sign-in-locked", "retry-after")
    again = story.when(ENTER, by=API, at=NOW + timedelta(minutes=1))
    assert again.code is None
    again.story.when(WRONG, by=API).then_refused_but("sign-in-failed", failed(1))


# --- sessions -------------------------------------------------------------------------------------------------------

REFRESHED = SessionRefreshed(
    user_id="tess",
    family_id=FAMILY,
    digest=SECOND,
    expires_at=NOW + timedelta(hours=2),
    ends_at=NOW + timedelta(hours=3),
)


def test_a_refresh_token_is_replaced_and_a_repeat_adds_nothing() -> None:
    SIGNED_IN.when(REFRESH, by=API).then(REFRESHED).when(REFRESH, by=API).then_nothing()


def test_a_refresh_token_that_was_replaced_ends_the_session_for_both_who_hold_one() -> None:
    after = reuse().then_refused_but("refresh-token-reused", RefreshTokenReused(user_id="tess", family_id=FAMILY))
    after.when(REFRESH, by=API).then_rejected("session-ended")


def test_a_session_ends_by_itself() -> None:
    SIGNED_IN.when(REFRESH, by=API, at=LATER).then_rejected("session-ended")
    late = NOW + timedelta(minutes=59)
    long = REFRESH.model_copy(update={"lifetime_seconds": 24 * HOUR})
    SIGNED_IN.when(long, by=API, at=late).then(REFRESHED.model_copy(update={"expires_at": NOW + timedelta(hours=3)}))


def test_who_signs_out_ends_that_session_and_a_repeat_adds_nothing() -> None:
    out = SignOut(user_id="tess", family_id=FAMILY)
    after = SIGNED_IN.when(out, by=API).then(SignedOut(user_id="tess", family_id=FAMILY))
    after.when(out, by=API).then_nothing().when(REFRESH, by=API).then_rejected("session-ended")


def test_all_sessions_are_revoked_at_once_and_a_repeat_adds_nothing() -> None:
    end = RevokeSessions(user_id="tess", requested_by="user:ada")
    after = SIGNED_IN.when(end, by=API).then(SessionsRevoked(user_id="tess", requested_by="user:ada"))
    after.when(end, by=API).then_nothing().when(REFRESH, by=API).then_rejected("session-ended")


# --- second factor --------------------------------------------------------------------------------------------------

ENROL = EnrolTotp(user_id="tess", enrolment_id=ENROLMENT, secret=ENROLMENT_BEGUN.secret)
CONFIRM = ConfirmTotp(user_id="tess", enrolment_id=ENROLMENT, totp_step=100, recovery_digests=CODES)


def test_a_second_factor_counts_once_confirmed_and_repeats_add_nothing() -> None:
    begun = SIGNED_IN.when(ENROL, by=API).then(ENROLMENT_BEGUN).when(ENROL, by=API).then_nothing()
    begun.when(ENTER, by=API).then(ENTERED)
    after = begun.when(CONFIRM, by=API).then(CONFIRMED).when(CONFIRM, by=API).then_nothing()
    after.when(ENTER, by=API).then_rejected("second-factor-needed")


def test_only_the_enrolment_begun_last_is_confirmed() -> None:
    other = CONFIRM.model_copy(update={"enrolment_id": OTHER})
    ENROLLED.when(other, by=API).then_rejected("totp-unknown")
    SIGNED_IN.when(CONFIRM, by=API).then_rejected("totp-unknown")


def test_a_confirmed_second_factor_is_not_replaced_unseen() -> None:
    GUARDED.when(ENROL, by=API).then_rejected("totp-exists")
    GUARDED.when(CONFIRM.model_copy(update={"recovery_digests": (THIRD,)}), by=API).then_rejected("totp-exists")


def test_a_step_counts_once_and_none_before_it_counts_any_more() -> None:
    for step in (99, 100):
        replayed = ENTER.model_copy(update={"totp_step": step})
        GUARDED.when(replayed, by=API).then_refused_but("sign-in-failed", failed(1))
    next_step = ENTER.model_copy(update={"totp_step": 101})
    after = GUARDED.when(next_step, by=API).then(ENTERED.model_copy(update={"totp_step": 101}))
    again = next_step.model_copy(update={"family_id": "c" * 32, "digest": THIRD})
    after.when(again, by=API).then_refused_but("sign-in-failed", failed(1))


def test_a_recovery_code_counts_once() -> None:
    by_code = ENTER.model_copy(update={"recovery_digest": CODES[0]})
    after = GUARDED.when(by_code, by=API).then(ENTERED.model_copy(update={"recovery_digest": CODES[0]}))
    again = by_code.model_copy(update={"family_id": "c" * 32, "digest": THIRD})
    after.when(again, by=API).then_refused_but("sign-in-failed", failed(1))
    other = again.model_copy(update={"recovery_digest": CODES[1]})
    assert after.when(other, by=API).code is None


@pytest.mark.parametrize("shown", [{"totp_step": 101}, {"recovery_digest": OLD}])
def test_a_second_factor_that_nobody_asked_for_is_a_failure(shown: dict[str, object]) -> None:
    SET.when(ENTER.model_copy(update=shown), by=API).then_refused_but("sign-in-failed", failed(1))


def test_without_its_second_factor_the_password_suffices_again() -> None:
    remove = RemoveTotp(user_id="tess", requested_by="operator:help")
    after = GUARDED.when(remove, by=API).then(TotpRemoved(user_id="tess", requested_by="operator:help"))
    after.when(remove, by=API).then_nothing().when(ENTER, by=API).then(ENTERED)
