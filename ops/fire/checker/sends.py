"""What was sent, as whoever sent it wrote it down, against what arrived and what came of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.fire.checker.findings import LOST, UNSEEN, Findings
from ops.fire.checker.journal import CommandKey
from ops.fire.checker.partitions import Part


@dataclass(frozen=True)
class Send:
    """One send: `kind` is good, again, other-payload, mis-keyed, malformed, poison, large or refused, `via` kafka or
    http. Where it was not acknowledged it may have landed or not; so may one that the API refused."""

    id: str
    company: str
    type: str
    kind: str
    via: str
    acknowledged: bool
    status: int | None

    @property
    def landed(self) -> bool:
        return self.acknowledged and (self.via == "kafka" or self.status is None or self.status < 300)


def read_sends(path: Path) -> list[Send]:
    """One JSON object a line; fields that the checker does not need are left out."""
    return [_send(json.loads(line)) for line in path.read_text().splitlines() if line.strip()]


def _send(said: dict[str, Any]) -> Send:
    return Send(
        id=str(said["id"]).lower(),
        company=said["company"],
        type=said["type"],
        kind=said["kind"],
        via=said["via"],
        acknowledged=said["acknowledged"],
        status=said.get("status"),
    )


def compare_sends(sends: Sequence[Send], parts: Sequence[Part], business: Sequence[Part], findings: Findings) -> None:
    """All that landed lies in the commands topics, and only what was sent has led to anything."""
    findings.saw("sends", len(sends))
    _compare_landed(sends, parts, findings)
    known = {(send.company, send.id) for send in sends}
    arrived = {key for part in business for key in part.commands.named}
    ours = {key for part in business for key in part.commands.ours}
    for part in business:
        _compare_causes(part, (arrived & known) | ours, findings)


def _compare_landed(sends: Sequence[Send], parts: Sequence[Part], findings: Findings) -> None:
    """A record may name no id, where its sender has spoilt it; so many of the spoilt ones need not be found."""
    named = {id_ for part in parts for _, id_ in part.commands.named}
    missing = [send for send in sends if send.landed and send.id not in named]
    spoilt = [send for send in missing if send.kind in ("malformed", "poison")]
    excused = set(spoilt[: sum(part.commands.nameless for part in parts)])
    for send in missing:
        if send not in excused:
            findings.add(LOST, f"{send.via}, {send.company}", f"{send.kind} {send.id} was taken and is in no topic")


def _compare_causes(part: Part, sent: set[CommandKey], findings: Findings) -> None:
    for key, positions in part.journal.caused.items():
        if key not in sent:
            findings.add(UNSEEN, f"events, partition {part.partition}", f"{key} at {positions} was sent by nobody")
