"""Write the published contracts: `python -m api.contracts`."""

import json
from collections.abc import Iterator
from pathlib import Path

from api import asyncapi, openapi
from api.problems import all_types, as_markdown

DOCS = Path(__file__).parent.parent / "docs"


def contracts() -> Iterator[tuple[Path, str]]:
    """Each contract's file and the text that the code of today wants in it."""
    yield DOCS / "openapi.json", as_text(openapi.document())
    yield DOCS / "asyncapi.json", as_text(asyncapi.document())
    yield DOCS / "problems.md", as_markdown(all_types().values())


def as_text(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for path, text in contracts():
        path.write_text(text)
        print(path)
