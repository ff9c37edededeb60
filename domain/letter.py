"""What becomes of dead letters: one that needs no other attempt is discarded, with a reason, and leaves the open ones.

A lane holds no letters. They lie in a topic of their own, and their ids say where the record that each holds came from;
that a letter was tried again is seen from the outcome of the attempt, whose id follows from that of its command.
"""

from collections.abc import Iterator
from typing import assert_never

from domain.decider import Context, Decider
from domain.model import ADMINS, Command, Event, Id, Reason, State


class LetterDiscarded(Event):
    letter_id: Id
    reason: Reason

    def inverse(self) -> Command:
        return ReopenLetter(letter_id=self.letter_id)


class LetterReopened(Event):
    letter_id: Id


LetterEvent = LetterDiscarded | LetterReopened


class Letter(State):
    discarded: bool = False


def evolve(found: Letter, event: LetterEvent) -> Letter:
    match event:
        case LetterDiscarded():
            return found.but(discarded=True)
        case LetterReopened():
            return found.but(discarded=False)
        case _:
            assert_never(event)


letter = Decider("letter", key="letter_id", path="dead-letters", initial=Letter(), evolve=evolve)


class DiscardLetter(Command):
    """Say why a dead letter needs no other attempt; it stays readable as long as its topic keeps it."""

    letter_id: Id
    reason: Reason


@letter.decides(ADMINS, new=True)
def discard_letter(found: Letter, cmd: DiscardLetter, context: Context) -> Iterator[LetterDiscarded]:
    if not found.discarded:  # asked twice, discarded once: the first reason stays
        yield LetterDiscarded(**vars(cmd))


class ReopenLetter(Command):
    """Count a discarded letter among the open ones again."""

    letter_id: Id


@letter.decides(ADMINS)
def reopen_letter(found: Letter, cmd: ReopenLetter, context: Context) -> Iterator[LetterReopened]:
    if found.discarded:
        yield LetterReopened(**vars(cmd))
