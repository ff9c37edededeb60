"""Say where a tracked file holds what looks like a secret: `python .ci/secrets.py`, exit code 1 if any does.

Only what can be told from ordinary text: private keys, access tokens, keys of clouds and repositories.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LOOKS = {
    "private key": rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s*\n[A-Za-z0-9+/=\s]{40,}",
    "JSON Web Token": rb"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}",
    "AWS key": rb"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "GitHub token": rb"\bgh[pousr]_[A-Za-z0-9]{36}\b",
    "Slack token": rb"\bxox[abprs]-[A-Za-z0-9-]{20,}",
}


def tracked() -> Iterator[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=True).stdout
    return (path for name in listed.decode().split("\0") if name and (path := Path(name)).is_file())


def found() -> Iterator[str]:
    for path in tracked():
        content = path.read_bytes()
        for name, look in LOOKS.items():
            for match in re.finditer(look, content):
                line = content.count(b"\n", 0, match.start()) + 1
                yield f"{path}:{line}: looks like a {name}"


if __name__ == "__main__":
    lines = list(found())
    print("\n".join(lines) or "No secrets found in tracked files.")
    sys.exit(bool(lines))
