"""`bitcorp settings`: every variable with its meaning and the value it has."""

import json
from typing import Any

from pydantic import SecretStr
from rich.text import Text

from ops.console import AsJson, out, table, write_json
from topics.settings import Settings

HIDDEN = "(hidden)"


def settings(*, json: AsJson = False) -> None:
    """All BITCORP_* variables with their meaning and value; secrets stay hidden.

    Parameters
    ----------
    json
        One JSON object with the names and values.
    """
    current = Settings()
    if json:
        write_json({variable(name): shown(value) for name, value in current})
        return
    rows = [
        (variable(name), _value(current, name, value), Settings.model_fields[name].description or "")
        for name, value in current
    ]
    out.print(table("Settings (bold: set in the environment)", ("variable", "value", "meaning"), rows))


def variable(name: str) -> str:
    """`api_port` -> `BITCORP_API_PORT`."""
    return f"BITCORP_{name.upper()}"


def shown(value: Any) -> Any:
    """The value as it may be shown to anybody."""
    if isinstance(value, SecretStr):
        return HIDDEN if value.get_secret_value() else ""
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def as_environment(current: Settings) -> dict[str, str]:
    """The variables that give another process these settings, secrets included."""
    found = {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in current}
    return {variable(name): str(value) for name, value in found.items() if value is not None}


def _value(current: Settings, name: str, value: Any) -> Text:
    text = shown(value)
    words = text if isinstance(text, str) else json.dumps(text)
    return Text(words, "bold" if name in current.model_fields_set else "")
