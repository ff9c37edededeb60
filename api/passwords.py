"""Passwords: which are taken, and how they are hashed (argon2id with OWASP's parameters), some at a time."""

import asyncio
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerifyMismatchError

SHORTEST, LONGEST = 12, 128
#: How many are hashed at once, each with 19 MiB; the others wait.
AT_ONCE = 4

#: The commonest that are long enough to be taken, in small letters.
COMMON = frozenset(Path(__file__).with_name("common-passwords.txt").read_text().split())

HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
#: What is verified where there is no hash, so that it takes as long.
NOBODY = HASHER.hash("nobody has this password")


def normal(password: str) -> str:
    """One spelling of what keyboards write in several ways."""
    return unicodedata.normalize("NFKC", password)


def faults(password: str, about: Iterable[str]) -> list[str]:
    """Why the password is not taken; `about` are words about the user that none may be."""
    plain = normal(password)
    if not SHORTEST <= len(plain) <= LONGEST:
        return [f"must have {SHORTEST} to {LONGEST} characters"]
    if plain.casefold() in COMMON:
        return ["is one of the commonest passwords"]
    if plain.casefold() in {normal(word).casefold() for word in about}:
        return ["must not be the company's id, the e-mail address or the name"]
    return []


class Passwords:
    """Hashing and verifying in threads, so that requests go on meanwhile."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def hash(self, password: str) -> str:
        async with self._turn:
            return await asyncio.to_thread(HASHER.hash, normal(password))

    async def fits(self, password: str, hashed: str | None) -> bool:
        """Whether the hash is the password's; where there is none the same work is done in vain."""
        async with self._turn:
            return await asyncio.to_thread(_fits, normal(password), hashed or NOBODY) and hashed is not None


def _fits(password: str, hashed: str) -> bool:
    try:
        return HASHER.verify(hashed, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
