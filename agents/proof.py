"""Whether a command carries proof of its actor, judged by the lane's own state alone: see `topics.signing`."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Self

from domain.engine import Book, unauthenticated
from domain.key import key
from domain.platform import Process, is_own, platform
from topics.keys import from_base64url
from topics.messages import CommandMessage
from topics.settings import Settings
from topics.signing import (
    EDDSA,
    ROOT,
    BadSignature,
    Signature,
    check_ed25519,
    check_hmac,
    parse,
    shared_secret,
)


class Fitting(NamedTuple):
    """The platform's process whose signature a command has, and the secret by which that was seen."""

    kid: str
    secret: bytes


@dataclass(frozen=True)
class Proof:
    """What is the same for all lanes, so that all decide alike: whether commands may come unsigned, the lanes' X25519
    private key, and the public key of the root, who admits the platform's processes."""

    unsigned: bool = True
    private_key: bytes = field(default=b"", repr=False)
    root: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        private_key = from_base64url(settings.lanes_private_key.get_secret_value())
        return cls(settings.takes_unsigned, private_key, settings.root_public_key)

    def ahead(self, command: CommandMessage, book: Book, home: str) -> Fitting | None:
        """What its signature fits by what is known now. Most of the price of a check, paid for many at once: the same
        few functions stay in the processor's caches."""
        try:
            given = parse(command.signature or "")
            fitting = Fitting(given.kid, self._secret_of(book.aggregate(home, platform, given.kid).state))
            check_hmac(command, given, fitting.secret)
        except BadSignature:
            return None
        return fitting

    def check(
        self, command: CommandMessage, now: datetime, book: Book, home: str, fitting: Fitting | None = None
    ) -> None:
        """Raises the refusal `unauthenticated`. `home` is the platform's own company in the lane's partition, and
        `fitting` what was found ahead."""
        try:
            if fitting is None or not self._fits_still(fitting, command, book, home):
                self._check(command, now, book, home)
        except BadSignature as fault:
            raise unauthenticated(f"{fault}.".capitalize()) from fault

    def _check(self, command: CommandMessage, now: datetime, book: Book, home: str) -> None:
        if is_own(command.company_id):
            self._check_root(command)
        elif command.signature is not None:
            given = parse(command.signature)
            if given.algorithm == EDDSA:
                _check_company_key(command, given, now, book)
            else:
                self._check_process(command, given, book, home)
        elif not self.unsigned:
            raise BadSignature("the command is not signed")

    def _check_root(self, command: CommandMessage) -> None:
        """The platform's own companies hear the root alone, signed commands being asked for or not."""
        given = parse(command.signature or "")
        if (given.algorithm, given.kid) != (EDDSA, ROOT) or not self.root:
            raise BadSignature("processes are admitted and dismissed by the root key alone")
        check_ed25519(command, given, self.root)

    def _check_process(self, command: CommandMessage, given: Signature, book: Book, home: str) -> None:
        process = book.aggregate(home, platform, given.kid).state
        if not process.speaks_for(command.actor):
            raise BadSignature("the key that signed does not speak for this actor, or is not believed any more")
        check_hmac(command, given, self._secret_of(process))

    def _fits_still(self, fitting: Fitting, command: CommandMessage, book: Book, home: str) -> bool:
        """Whether the state in which the command is decided says of the process what was known ahead."""
        process = book.aggregate(home, platform, fitting.kid).state
        return (
            process.speaks_for(command.actor)
            and self._secret_of(process) == fitting.secret
            and not is_own(command.company_id)
        )

    def _secret_of(self, process: Process) -> bytes:
        """Raises BadSignature where there is none."""
        return shared_secret(self.private_key, process.public_key)


def _check_company_key(command: CommandMessage, given: Signature, now: datetime, book: Book) -> None:
    found = book.aggregate(command.company_id, key, given.kid).state
    if str(command.actor) != f"key:{given.kid}" or not found.opens_at(now):
        raise BadSignature("the key that signed is not the actor's, or is revoked or has expired")
    check_ed25519(command, given, found.public_key)
