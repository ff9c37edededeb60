"""`bitcorp access`: who may do what in Kafka, and the keys and passwords by which it knows everybody."""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from cyclopts import App

from ops.certificates import Authority, write_private
from ops.console import AsJson, out, say, table, write_json
from ops.errors import Fault
from ops.rights import KINDS, Right, apply, compare, rights, set_passwords, users
from ops.stack import resolve
from topics.settings import Settings

app = App(name="access", help="Show and give each process its rights in Kafka; make keys and passwords.")

BROKER, OPERATOR, PASSWORDS, ENVIRONMENT = "broker", "operator", "passwords", "kafka.env"
RANDOM_BYTES = 24
#: It is the name of a file too.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@app.command
def show(*, user: tuple[str, ...] = (), json: AsJson = False) -> int:
    """The rights that each user needs, and each difference from what Kafka has. Exit code 1 if there is one.

    Parameters
    ----------
    user
        One more user and of what kind it is, such as sap=upstream or lake=analytics; repeat it for more.
    json
        One JSON object with rights, missing and excess.
    """
    settings = resolve(Settings())
    known = users(settings, _more(user))
    wanted, found = rights(settings, known), compare(settings, known)
    if json:
        write_json({"rights": _plain(wanted), "missing": _plain(found.missing), "excess": _plain(found.excess)})
    else:
        out.print(table("Rights in Kafka", Right._fields, wanted))
        _tell("missing", found.missing, "red")
        _tell("too much", found.excess, "red")
    return 1 if found.missing or found.excess else 0


@app.command(name="apply")
def give(*, user: tuple[str, ...] = (), passwords: Path | None = None) -> None:
    """Give users what they need and take what is too much; a second time there is nothing to do. For operators.

    Parameters
    ----------
    user
        One more user and of what kind it is, such as sap=upstream or lake=analytics; repeat it for more.
    passwords
        Folder with a file for each user, named as the user, that holds the password which it has from now on.
    """
    settings = resolve(Settings())
    known = users(settings, _more(user))
    if passwords:
        found = _passwords(passwords, known)
        set_passwords(settings, found)
        say(f"{len(found)} passwords are set.")
    done = apply(settings, known)
    _tell("given", done.missing)
    _tell("taken", done.excess)
    if not done.missing and not done.excess:
        say("Everybody has what is needed and nothing else.")


@app.command
def keys(
    folder: Path, /, *, host: tuple[str, ...] = ("kafka", "localhost", "127.0.0.1"), user: tuple[str, ...] = ()
) -> None:
    """Make what is missing in a folder: an authority, the key of the brokers and that of the operator, and a random
    password for each user. What is there stays, so another password is made by removing the file. kafka.env has the
    same once more, as variables for docker-compose.yml.

    Parameters
    ----------
    folder
        Where to; everything in it but ca.pem is secret, and ca-key.pem belongs on no server.
    host
        Names and addresses by which clients call the brokers; repeat it for more.
    user
        One more user and of what kind it is, such as sap=upstream or lake=analytics; repeat it for more.
    """
    known = users(Settings(), _more(user))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = Authority(folder)
    for name, hosts in ((BROKER, host), (OPERATOR, ())):
        if not (path := folder / f"{name}.pem").exists():
            authority.issue(path, name, hosts)
    for name in known:
        if not (path := folder / PASSWORDS / name).exists():
            write_private(path, secrets.token_urlsafe(RANDOM_BYTES).encode())
    write_private(folder / ENVIRONMENT, "".join(_variables(folder, known)).encode())
    say(f"Authority, keys and passwords lie in {folder}.")


def _variables(folder: Path, known: Mapping[str, str]) -> Iterator[str]:
    """Lines of an environment file; those of others' systems beyond the usual are theirs alone."""
    for name in (BROKER, OPERATOR):
        yield f"KAFKA_{name.upper()}_PEM={_quoted(folder / f'{name}.pem')}"
    for name in users(Settings()):
        yield f"KAFKA_PASSWORD_{known[name].upper()}={_quoted(folder / PASSWORDS / name)}"


def _quoted(path: Path) -> str:
    """On one line: in double quotes, and ends of lines as a backslash and an n."""
    text = path.read_text().replace("\n", "\\n")
    return f'"{text}"\n'


def _more(given: Sequence[str]) -> dict[str, str]:
    """Raises Fault where that is no user=kind."""
    more = dict(word.partition("=")[::2] for word in given)
    for name, kind in more.items():
        if not NAME.fullmatch(name) or kind not in KINDS:
            raise Fault(f"--user {name}={kind}: write NAME=KIND, where KIND is one of {', '.join(KINDS)}.")
    return more


def _passwords(folder: Path, known: Iterable[str]) -> dict[str, str]:
    """Raises Fault where the folder has none."""
    found = {name: (folder / name).read_text().strip() for name in known if (folder / name).is_file()}
    if not found or not all(found.values()):
        raise Fault(f"{folder} must have a file with a password for at least one of: {', '.join(known)}.")
    return found


def _plain(found: Iterable[Right]) -> list[dict[str, str]]:
    return [right._asdict() for right in found]


def _tell(what: str, found: Iterable[Right], style: str = "") -> None:
    for right in found:
        pattern = "all that begins with " if right.pattern == "prefixed" else ""
        say(f"{what}: {right.user} may {right.operation} {right.kind} {pattern}{right.name}", style)
