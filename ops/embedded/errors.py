"""How the embedded servers speak to whoever starts them."""

from collections.abc import Callable

Report = Callable[[str], None]


class EmbeddedError(Exception):
    """An embedded server cannot do its work; the message says what happened and what to do."""


def silent(message: str) -> None:
    """A report that nobody reads."""
