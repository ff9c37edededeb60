"""A foreign system that publishes the life of its fleet: plain aiokafka and CloudEvents headers written by hand.

    python examples/upstream.py --kafka 127.0.0.1:9092 examples/fleet/1-past
    python examples/upstream.py --kafka 127.0.0.1:9092 --rate 200 examples/fleet/2-today

It signs its commands where FLEET_SIGNING_KEY (<id>:<X25519 private key>) and FLEET_LANES_KEY (X25519 public key) are
set. It shares no code with Bitcorp. What it knows of it is on one page: examples/fleet/README.md.
"""

import argparse
import asyncio
import csv
import hashlib
import hmac
import json
import os
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zlib import crc32

from aiokafka import AIOKafkaProducer
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

READERS: dict[str, Callable[[str], Any]] = {
    "": str,
    "int": int,
    "list": lambda text: text.split("|"),
    "json": json.loads,
}


@dataclass
class Message:
    """A Kafka record to be. `astray`: to the partition that librdkafka's default partitioner picks, not Java's."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    astray: bool = False


def messages(folder: Path) -> Iterator[list[Message]]:
    """The records of each file of the folder, in order; a file's name is the type of its commands."""
    for path in sorted(folder.glob("*.csv")):
        kind = path.stem.partition("-")[2]
        with path.open(encoding="utf-8", newline="") as file:
            yield [message(kind, row) for row in csv.DictReader(file)]


def message(kind: str, row: dict[str, str]) -> Message:
    how, _, told = row["how"].partition(":")
    aggregate = kind.partition(".")[0]
    data = data_of(row)
    if how == "extra-field":
        data["colour"] = "yellow"
    attributes = {
        "specversion": "1.0",
        "id": str(uuid5(NAMESPACE_URL, f"fleet:{row['id']}")),
        "source": "/upstreams/fleet",
        "type": f"com.bitcorp.erp.{kind}.v{9 if how == 'unknown-type' else 1}",
        "subject": f"{aggregate}/{told if how == 'subject' else row[f'{aggregate}_id']}",
        "time": datetime.now(UTC).isoformat(),
        "actor": row["actor"],
    }
    if how == "version":
        attributes["expectedversion"] = told
    if how == "no-id":
        del attributes["id"]
    key = row["company"].encode()
    signing = signer()
    if how == "structured":
        body = json.dumps(attributes | {"datacontenttype": "application/json", "data": data}, ensure_ascii=False)
        return Message(key, body.encode(), [("content-type", b"application/cloudevents+json; charset=utf-8")])
    value = json.dumps(data, ensure_ascii=False).encode()
    value = value[:-2] if how == "malformed" else value
    if signing:
        attributes["signature"] = signature(*signing, row["company"], attributes, value)
    headers = [("content-type", b"application/json"), *((f"ce_{name}", v.encode()) for name, v in attributes.items())]
    return Message(key, value, headers, astray=how == "mis-keyed")


@cache
def signer() -> tuple[str, bytes] | None:
    """The id of our key, and the secret that we share with the lanes."""
    kid, _, private = os.environ.get("FLEET_SIGNING_KEY", "").partition(":")
    if not kid:
        return None
    lanes = X25519PublicKey.from_public_bytes(unpacked(os.environ["FLEET_LANES_KEY"]))
    exchanged = X25519PrivateKey.from_private_bytes(unpacked(private)).exchange(lanes)
    return kid, HKDF(SHA256(), 32, None, b"bitcorp-command-v1").derive(exchanged)


def signature(kid: str, secret: bytes, company: str, said: dict[str, str], value: bytes) -> str:
    """A detached JWS over what decides."""
    version, digest = said.get("expectedversion", ""), hashlib.sha256(value).hexdigest()
    parts = (said.get("id", ""), said["type"], company, said["subject"], said["actor"], version, digest)
    payload = packed("\n".join(("bitcorp-command-v1", *parts)).encode())
    header = packed(json.dumps({"alg": "HS256", "kid": kid}).encode())
    return f"{header}..{packed(hmac.digest(secret, f'{header}.{payload}'.encode(), 'sha256'))}"


def packed(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def unpacked(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def data_of(row: dict[str, str]) -> dict[str, Any]:
    """`cost.amount` -> {"cost": {"amount": ...}}, `roles:list` -> a list; an empty cell is an absent field."""
    data: dict[str, Any] = {}
    for column, cell in row.items():
        name, _, reader = column.partition(":")
        if name in ("id", "company", "actor", "how", "expect") or not (cell or reader == "list"):
            continue
        *path, last = name.split(".")
        inner = data
        for step in path:
            inner = inner.setdefault(step, {})
        inner[last] = READERS[reader](dated(cell)) if cell else []
    return data


def dated(cell: str) -> str:
    """`+14d` -> the day in two weeks, `-3dT10:00:00Z` -> an hour of three days ago."""
    found = re.fullmatch(r"([+-]\d+)d(T.*)?", cell)
    return cell if found is None else f"{today() + timedelta(days=int(found[1]))}{found[2] or ''}"


def today() -> date:
    return datetime.now(UTC).date()


async def publish(folder: Path, kafka: str, topic: str, rate: float) -> int:
    """Publish all, file after file, `rate` a second (0: as fast as they are taken); how many there were."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True, linger_ms=0 if rate else 5)
    await producer.start()
    try:
        count, began = 0, time.monotonic()
        partitions = len(await producer.partitions_for(topic))
        for file in messages(folder):
            for sent in file:
                if rate:
                    await asyncio.sleep(max(0.0, began + count / rate - time.monotonic()))
                partition = crc32(sent.key) % partitions if sent.astray else None
                await producer.send(topic, sent.value, sent.key, partition, headers=now_in(sent.headers))
                count += 1
            await producer.flush()
        return count
    finally:
        await producer.stop()


def now_in(headers: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """The headers with the time of sending."""
    return [(name, datetime.now(UTC).isoformat().encode() if name == "ce_time" else value) for name, value in headers]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--kafka", required=True, help="bootstrap servers, host:port")
    arguments.add_argument("--topic", default="erp.commands")
    arguments.add_argument("--rate", type=float, default=0, help="commands a second; 0: as fast as they are taken")
    given = arguments.parse_args()
    began = time.monotonic()
    count = asyncio.run(publish(given.folder, given.kafka, given.topic, given.rate))
    print(f"{count} commands published in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
