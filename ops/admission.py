"""Key pairs of the platform's processes: those of the embedded stack, and the commands that admit processes."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import SecretStr
from pydantic_core import to_json

from domain import REALMS
from domain.decider import Actor
from domain.platform import AdmitProcess, DismissProcess, platform
from ops.errors import Fault
from topics.catalogue import own_company
from topics.keys import base64url, from_base64url
from topics.messages import CommandMessage
from topics.publisher import publish
from topics.settings import Settings
from topics.signing import ROOT, ed25519_signer

FILE = "keys.json"
#: The process that all of an embedded stack are, and for whom they speak.
EMBEDDED = "embedded"
RULES = [rule for realm in REALMS.values() for rule in realm.rules.values()]
EVERYBODY = ("user", "key", "operator", *sorted({f"system:{it}" for rule in RULES for it in rule.systems}))


def ensure(settings: Settings) -> Settings:
    """The settings with the key pairs of the embedded stack, made when first asked for; own ones are left alone."""
    path = settings.directory / FILE
    if settings.lanes_public_key or settings.lanes_private_key.get_secret_value():
        return settings
    if not path.exists():
        _write(path)
    return found(settings)


def found(settings: Settings) -> Settings:
    """The settings with the key pairs that lie in the directory, where it has some and the settings name none."""
    path = settings.directory / FILE
    if settings.signing_key.get_secret_value() or not path.exists():
        return settings
    return settings.model_copy(update=_settings_of(json.loads(path.read_text())))


def _write(path: Path) -> None:
    """The file holds secrets, so it is ours alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pairs = {
        "root": Ed25519PrivateKey.generate().private_bytes_raw(),
        "lanes": X25519PrivateKey.generate().private_bytes_raw(),
        EMBEDDED: X25519PrivateKey.generate().private_bytes_raw(),
    }
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(json.dumps({name: base64url(private_key) for name, private_key in pairs.items()}))
    part.replace(path)


def _settings_of(private: Mapping[str, str]) -> dict[str, object]:
    return {
        "root_private_key": SecretStr(private["root"]),
        "root_public_key": root_key(private["root"]),
        "lanes_private_key": SecretStr(private["lanes"]),
        "lanes_public_key": exchange_key(private["lanes"]),
        "signing_key": SecretStr(f"{EMBEDDED}:{private[EMBEDDED]}"),
    }


def exchange_key(private_key: str) -> str:
    """The public half of an X25519 key, both in base64url."""
    return base64url(X25519PrivateKey.from_private_bytes(from_base64url(private_key)).public_key().public_bytes_raw())


def root_key(private_key: str) -> str:
    """The public half of an Ed25519 key, both in base64url."""
    return base64url(Ed25519PrivateKey.from_private_bytes(from_base64url(private_key)).public_key().public_bytes_raw())


def admission_of(settings: Settings) -> list[CommandMessage]:
    """The commands that admit the embedded stack's processes."""
    process, _, private_key = settings.signing_key.get_secret_value().partition(":")
    return to_each_partition(
        settings, AdmitProcess(process_id=process, public_key=exchange_key(private_key), vouches=EVERYBODY)
    )


async def tell(settings: Settings, commands: Sequence[CommandMessage]) -> None:
    """Send them to the lanes of every realm, since each decides by its own state alone. Raises Unavailable."""
    for realm in REALMS.values():
        await publish(settings, commands, realm)


def to_each_partition(settings: Settings, command: AdmitProcess | DismissProcess) -> list[CommandMessage]:
    """The command to the platform's own company in each partition, signed by the root. Raises Fault without its key."""
    seed = settings.root_private_key.get_secret_value()
    if not seed:
        raise Fault("Processes are admitted and dismissed by the root key: set BITCORP_ROOT_PRIVATE_KEY.")
    sign = ed25519_signer(ROOT, Ed25519PrivateKey.from_private_bytes(from_base64url(seed)))
    return [sign(message) for message in _messages(settings, command)]


def _messages(settings: Settings, command: AdmitProcess | DismissProcess) -> Iterable[CommandMessage]:
    rule, data = platform.rules[type(command)], to_json(command)
    for partition in range(settings.partitions):
        company = own_company(partition, settings.partitions)
        yield CommandMessage(
            id=str(uuid5(NAMESPACE_URL, f"bitcorp:{rule.type}:{company}:{data.decode()}")),
            type=rule.type,
            company_id=company,
            aggregate=platform.name,
            aggregate_id=command.process_id,
            actor=Actor("operator", ROOT),
            data=data,
            source="/shell",
        )
