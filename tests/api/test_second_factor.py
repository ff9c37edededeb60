"""Codes, their keys and recovery codes, without a server."""

from pathlib import Path

import pyotp
import pytest
from cryptography.fernet import Fernet

from api.passwords import Passwords
from api.second_factor import Vault, recovery_codes, recovery_digest, step_of
from topics.settings import Settings

KEY = pyotp.random_base32()
NOW = 1_800_000_000


def vault(tmp_path: Path, *keys: str) -> Vault:
    return Vault(Settings(directory=tmp_path, totp_keys=",".join(keys)))


@pytest.mark.parametrize("away", range(-3, 4))
def test_codes_of_the_steps_beside_now_count_and_no_others(away: int) -> None:
    step = step_of(KEY, pyotp.TOTP(KEY).at(NOW + 30 * away), NOW)
    assert step == (NOW // 30 + away if abs(away) <= 1 else None)


def test_without_a_key_no_code_is_right() -> None:
    assert step_of(None, "000000", NOW) is None


def test_a_key_is_read_for_its_person_alone(tmp_path: Path) -> None:
    mine = vault(tmp_path)
    locked = mine.locked("acme", "tess", KEY)
    assert KEY not in locked
    assert vault(tmp_path).opened("acme", "tess", locked) == KEY, "another process has the stack's own key too"
    for company, user, secret in (("acme", "ann", locked), ("globex", "tess", locked), ("acme", "tess", None)):
        assert mine.opened(company, user, secret) is None
    assert (tmp_path / "totp-key").stat().st_mode & 0o777 == 0o600


def test_a_key_that_encrypts_is_replaced_without_anybody_noticing(tmp_path: Path) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    locked = vault(tmp_path, old).locked("acme", "tess", KEY)
    assert vault(tmp_path, new, old).opened("acme", "tess", locked) == KEY
    assert vault(tmp_path, new).opened("acme", "tess", locked) is None


def test_recovery_codes_are_typed_as_people_type() -> None:
    codes = recovery_codes()
    assert len(set(codes)) == 10
    assert recovery_digest(codes[0]) == recovery_digest(f" {codes[0].upper().replace('-', ' ')} ")


async def test_a_password_fits_its_own_hash_in_whatever_form_it_is_typed() -> None:
    passwords = Passwords()
    hashed = await passwords.hash("contrase\u00f1a larga")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.fits("contrasen\u0303a larga", hashed)
    assert not await passwords.fits("contrasena larga", hashed)
    assert not await passwords.fits("nobody has this password", None), "what is compared in vain never fits"
    assert not await passwords.fits("x", "no hash")
