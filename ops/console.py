"""How the command line speaks: results on stdout, everything else on stderr, and progress only on a terminal."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

#: Where there is no terminal, lines are as wide as they need to be for a log or a pipe.
WIDTH_OF_A_FILE = 160

AsJson = Annotated[bool, Parameter(name="--json", negative="")]


def _console(stream: Any, *, stderr: bool) -> Console:
    width = None if stream.isatty() or "COLUMNS" in os.environ else WIDTH_OF_A_FILE
    return Console(stderr=stderr, width=width, highlight=False, emoji=False)


out = _console(sys.stdout, stderr=False)
err = _console(sys.stderr, stderr=True)


def printable(text: object) -> str:
    """Text of unknown origin without the control characters that would steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def plain(text: object, style: str = "") -> Text:
    """Text as it is: no markup, no control characters; lines stay lines."""
    return Text("\n".join(printable(line) for line in str(text).split("\n")), style)


def say(text: object, style: str = "") -> None:
    """One line about what is going on, on stderr."""
    err.print(plain(text, style))


def write_json(value: Any) -> None:
    """One JSON document on one line of stdout."""
    sys.stdout.write(json.dumps(value, default=str, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table of plain text; numbers are set to the right, and what a row is about is never broken."""
    cells = [list(row) for row in rows]
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for index, name in enumerate(columns):
        numbers = bool(cells) and all(isinstance(row[index], int | float) for row in cells)
        made.add_column(name, justify="right" if numbers else "left", overflow="fold", no_wrap=index == 0)
    for row in cells:
        made.add_row(*(cell if isinstance(cell, Text) else plain(cell) for cell in row))
    return made


@contextmanager
def progress(title: str, total: float | None = None) -> Iterator[Callable[[float], None]]:
    """A bar on the terminal while the block runs (nothing elsewhere); call what it yields with the steps done."""
    columns = [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
    if total is not None:
        columns[2:2] = [BarColumn(), MofNCompleteColumn()]
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda steps: bar.advance(task, steps)
