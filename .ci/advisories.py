"""Ask for known faults of the pinned packages: `python .ci/advisories.py`, exit code 1 if any is not allowed.

Where nobody answers in time, or the answer does not cover a package, the line says `not run`: that is no pass. Faults
that do not concern us are listed in `.ci/advisories.txt`, each with a reason.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
ALLOWED = ROOT / ".ci" / "advisories.txt"
SECONDS = 20
ASK = ("-m", "pip_audit", "--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off")


def allowed(text: str) -> dict[str, str]:
    """Advisory -> why it does not concern us. Raises ValueError for a line without a reason."""
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in lines:
        if len(line) < 2:
            raise ValueError(f"{ALLOWED.name}: {line[0]} has no reason")
    return {name: why.strip() for name, why in lines}


def answer() -> dict[str, Any]:
    """What the advisory service says of every pinned package. Raises LookupError where it says nothing."""
    command = (sys.executable, *ASK, "--requirement", str(ROOT / "requirements.txt"))
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        return dict(json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        raise LookupError(f"no answer within {SECONDS} s") from None
    except ValueError:
        raise LookupError((done.stderr.strip().splitlines() or ["no answer"])[-1][:200]) from None


def unknown(report: Mapping[str, Any]) -> list[str]:
    """Packages of which the service knows nothing: pip-audit skips these, and calls that a success."""
    return [package["name"] for package in report["dependencies"] if "skip_reason" in package]


def faults(report: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[str]:
    """Each fault of a package that the list does not allow under any of its names."""
    for package in report["dependencies"]:
        for fault in package.get("vulns", ()):
            if known.keys().isdisjoint({fault["id"], *fault["aliases"]}):
                fixed = ", ".join(fault["fix_versions"]) or "no version yet"
                yield f"{package['name']} {package['version']}: {fault['id']}, mended by {fixed}"


def main() -> int:
    try:
        known, report = allowed(ALLOWED.read_text()), answer()
    except LookupError as nobody:
        print(f"Advisories: not run: {nobody}")
        return 0
    found, missed, asked = list(faults(report, known)), unknown(report), len(report["dependencies"])
    if missed:
        print(f"Advisories: not run for {len(missed)} of {asked} packages: the service knows nothing of them")
    if len(missed) < asked:
        print("\n".join(found) or f"No known faults in {asked - len(missed)} packages that are not allowed.")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
