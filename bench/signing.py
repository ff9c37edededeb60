"""What a signature costs a lane: commands decided with an HMAC signature checked, beside the same ones unsigned."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import SecretStr

from agents.decision import Draft, Place
from agents.proof import Proof
from agents.state import Head
from bench.job_j import commands
from domain.platform import AdmitProcess
from ops.admission import EVERYBODY, to_each_partition
from topics.cloudevents import Record
from topics.keys import base64url
from topics.messages import CommandMessage, write_command
from topics.settings import Settings
from topics.signing import Sign, hmac_signer, shared_secret

COUNT, GROUP, ROUNDS = 5_000, 500, 5


def records(sent: Sequence[CommandMessage]) -> list[Record]:
    return [
        Record("erp.commands", 0, *write_command(command), offset, 1_767_225_600_000)
        for offset, command in enumerate(sent)
    ]


def seconds(place: Place, taken: Sequence[Record]) -> float:
    """Of the processor, to read, decide and write all of them, group after group."""
    state: dict[str, bytes] = {}
    head, began = Head("bench"), time.process_time()
    for start in range(0, len(taken), GROUP):
        draft = Draft(place, head, state.get)
        draft.read_ahead(taken[start : start + GROUP])
        for record in taken[start : start + GROUP]:
            draft.take(record)
        commit = draft.commit()
        state.update((key, value) for key, value in commit.changes.items() if value is not None)
        head = commit.head
        assert not commit.tally["dead-letter", "unauthenticated"]
    return time.process_time() - began


def process() -> tuple[Proof, Sequence[CommandMessage], Sign]:
    """What the lanes know, the admission of a process, and how it signs."""
    root, lanes, own = Ed25519PrivateKey.generate(), X25519PrivateKey.generate(), X25519PrivateKey.generate()
    proof = Proof(False, lanes.private_bytes_raw(), base64url(root.public_key().public_bytes_raw()))
    settings = Settings(partitions=1, root_private_key=SecretStr(base64url(root.private_bytes_raw())))
    admit = AdmitProcess(
        process_id="bench", public_key=base64url(own.public_key().public_bytes_raw()), vouches=EVERYBODY
    )
    secret = shared_secret(own.private_bytes_raw(), base64url(lanes.public_key().public_bytes_raw()))
    return proof, to_each_partition(settings, admit), hmac_signer("bench", secret)


async def run(settings: Settings) -> Mapping[str, float]:
    """Medians of some rounds, taken in turns; microseconds a command, and the share that checking adds."""
    proof, admission, sign = process()
    sent = list(commands(COUNT))
    signed = records([*admission, *map(sign, sent)])
    unsigned, place = records(sent), Place("erp", 0, 1)
    rounds = [(seconds(place, unsigned), seconds(replace(place, proof=proof), signed)) for _ in range(ROUNDS)]
    plain, checked = (median(each) / len(sent) * 1e6 for each in zip(*rounds, strict=True))
    return {"unsigned_us": plain, "signed_us": checked, "share": checked / plain - 1}
