"""`python -m ops.fire.checker SENT`: check what was sent by itself; exit code 1 where anything is wrong."""

import json
import sys
from pathlib import Path

from pydantic import SecretStr

from ops.fire.checker import WAIT_SECONDS, check
from ops.fire.checker.findings import Findings
from topics.settings import Settings

SHOWN = 20


def main(words: list[str]) -> int:
    """SENT is the file of sends; the seconds to wait for what is under way may follow."""
    if not 1 <= len(words) <= 2:
        sys.stderr.write("usage: python -m ops.fire.checker SENT [SECONDS]\n")
        return 2
    findings = check(here(Settings()), Path(words[0]), float(words[1]) if words[1:] else WAIT_SECONDS)
    sys.stdout.write(told(findings))
    return 0 if findings.clean else 1


def here(settings: Settings) -> Settings:
    """The servers that the settings name, else those of the stack that runs in their directory."""
    stack = settings.directory / "stack.json"
    if settings.kafka or not stack.exists():
        return settings
    found = json.loads(stack.read_text())
    return settings.model_copy(update={"kafka": found["kafka"], "database": SecretStr(found["database"])})


def told(findings: Findings) -> str:
    """What was looked at, how many findings of each kind there are, and the first of them."""
    lines = [f"{count:10,} {what}" for what, count in sorted(findings.examined.items())]
    lines += [f"{count:10,} {kind.upper()}" for kind, count in sorted(findings.kinds.items())]
    lines += [f"{finding.kind}: {finding.where}: {finding.detail}" for finding in findings.all[:SHOWN]]
    return "\n".join([*lines, "Nothing is wrong." if findings.clean else "There are findings.", ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
