"""`bitcorp keys`: keys of companies' own systems, whose secret halves are made on this machine."""

import asyncio
import sys
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cyclopts import App

from domain.key import CreateKey, key
from domain.model import Command
from domain.platform import AdmitProcess, DismissProcess
from domain.record import Status
from ops.admission import exchange_key, root_key, tell, to_each_partition
from ops.console import AsJson, err, out, say, table, write_json
from ops.database import told
from ops.errors import Fault
from ops.render import outcome_text
from ops.send import Envelope, as_typed, deliver, message_of
from ops.stack import resolve
from topics.keys import Secret, base64url
from topics.settings import Settings
from views.keys import KEYS
from views.reading import read_engine, reading

COLUMNS = ("key_id", "name", "permissions", "expires_at", "revoked_at", "last_used_at")

app = App(name="keys", help="Make and list keys of companies' own systems.")


@app.command
async def new(
    key_id: str,
    *,
    company: str,
    actor: str,
    permission: tuple[str, ...],
    name: str | None = None,
    expires_at: str | None = None,
    wait: float = 30,
) -> int:
    """Make a pair of keys on this machine, and give the company the public half. The secret half is printed once.

    Parameters
    ----------
    key_id
        Id of the key; what it sends comes from key:<id>.
    company
        The company whose system it is.
    actor
        The admin who gives it: user:<id>.
    permission
        What it may send or read, such as equipment.move or equipment.read; repeat it for more.
    name
        What it is for; its id if not given.
    expires_at
        From when on it opens nothing, such as 2027-12-31T00:00:00Z.
    wait
        Seconds to wait for the outcome.
    """
    secret = Secret.new(company, key_id)
    command = creation(secret, name or key_id, permission, expires_at)
    message = message_of(key.rules[CreateKey], command, Envelope(actor=actor, company=company))
    outcome = await deliver(resolve(Settings()), message, max(wait, 1))
    if outcome is None or outcome.status is not Status.ACCEPTED:
        err.print(outcome_text(outcome) if outcome else "")
        return 1
    sys.stdout.write(secret.text + "\n")
    if sys.stdout.isatty():
        say("Keep it: it is shown nowhere else. Use it as: curl -H 'Authorization: Bearer <key>' ...", "dim")
    return 0


def creation(secret: Secret, name: str, permissions: tuple[str, ...], expires_at: str | None) -> Command:
    """The command that gives the company the public half."""
    plain = {"key_id": secret.key_id, "name": name, "public_key": secret.public_key, "permissions": list(permissions)}
    return as_typed(CreateKey, plain | ({"expires_at": expires_at} if expires_at else {}))


@app.command
def pair(*, root: bool = False) -> None:
    """Make a key pair for the platform's own settings, and print both halves as JSON. Nothing is kept.

    Parameters
    ----------
    root
        An Ed25519 pair, for the root; else an X25519 pair, for the lanes or for a process.
    """
    private_key = base64url((Ed25519PrivateKey if root else X25519PrivateKey).generate().private_bytes_raw())
    write_json({"private_key": private_key, "public_key": (root_key if root else exchange_key)(private_key)})


@app.command
async def apply(
    process_id: str, *, public_key: str | None = None, vouches: tuple[str, ...] = (), dismiss: str | None = None
) -> None:
    """Tell every partition to believe a process of the platform, or to believe it no more; signed by the root key.

    Parameters
    ----------
    process_id
        Id of the process, as its BITCORP_SIGNING_KEY has it before the colon.
    public_key
        Its X25519 public key, base64url.
    vouches
        For whom it speaks: user, key, operator or system:<agent>; repeat it for more.
    dismiss
        Why it is believed no more; instead of the key.
    """
    if (dismiss is None) == (public_key is None):
        raise Fault("Either --public-key and --vouches admit the process, or --dismiss <reason> dismisses it.")
    settings = resolve(Settings())
    command: AdmitProcess | DismissProcess
    if dismiss is not None:
        command = DismissProcess(process_id=process_id, reason=dismiss)
    else:
        command = AdmitProcess(process_id=process_id, public_key=public_key or "", vouches=vouches)
    await tell(settings, to_each_partition(settings, command))
    say(f"Sent to the lanes of all {settings.partitions} partitions.")


@app.command(name="list")
def list_(*, company: str, json: AsJson = False) -> None:
    """Keys of a company, as the views have them.

    Parameters
    ----------
    company
        The company whose keys are meant.
    json
        One JSON object per key.
    """
    settings = resolve(Settings())
    with told(settings):
        rows = asyncio.run(_rows(settings, company))
    if json:
        for row in rows:
            write_json(row)
    else:
        cells = [[" ".join(row[c]) if c == "permissions" else row[c] or "" for c in COLUMNS] for row in rows]
        out.print(table(f"Keys of {company}", COLUMNS, cells))


async def _rows(settings: Settings, company: str) -> list[dict[str, Any]]:
    pool = read_engine(settings.database.get_secret_value(), connections=1)
    try:
        async with reading(pool, company) as reader:
            found = (await reader.connection.execute(KEYS.rows.order_by(KEYS.keys["key_id"].column))).mappings().all()
    finally:
        await pool.dispose()
    return [{name: row[name] for name in COLUMNS} for row in found]
