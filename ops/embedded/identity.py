"""As whom PostgreSQL runs: it refuses root, so root starts it in a user namespace or as the user "nobody"."""

import os
import pwd
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ops.embedded.errors import EmbeddedError
from ops.embedded.process import launched


@dataclass(frozen=True)
class Identity:
    """A user as the launcher spells it, and who owns that user's files as seen from here."""

    word: str
    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Give the file to this user alone."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)
        path.chmod(0o700 if path.is_dir() else 0o600)


def choose_identity(data: Path) -> Identity:
    """Ourselves; for root the owner of existing data, else a user namespace, else "nobody"."""
    if os.geteuid() != 0:
        return Identity("self", os.geteuid(), os.getegid())
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return _other(owner.st_uid, owner.st_gid)
    if namespaces_work():
        return Identity("namespace", 0, 0)
    if data.exists():
        raise EmbeddedError(
            f"{data} belongs to root, and this machine does not let root start PostgreSQL in a user namespace. "
            f"Give the data to another user: chown -R nobody {data}"
        )
    nobody = pwd.getpwnam("nobody")
    return _other(nobody.pw_uid, nobody.pw_gid)


def namespaces_work() -> bool:
    """Whether root may start a process in a user namespace; strict containers forbid it."""
    if sys.platform != "linux":
        return False
    probe = launched([sys.executable, "-I", "-S", "-c", ""], signal.SIGKILL, "namespace")
    return subprocess.run(probe, capture_output=True).returncode == 0


def require_reach(identity: Identity, path: Path) -> None:
    """Refuse when the user cannot get to the path, because a directory above is closed to others.

    In a user namespace root is an ordinary user too: it does not get through the closed directories of others.
    """
    if identity.word == "self":
        return
    for above in path.parents:
        if not above.stat().st_mode & 0o001 and above.stat().st_uid != identity.uid:
            raise EmbeddedError(
                f"PostgreSQL does not run with the rights of root, and without them it cannot reach {path}, because "
                f"{above} is closed to other users. Start as an ordinary user, or choose a directory outside {above}."
            )


def _other(uid: int, gid: int) -> Identity:
    return Identity(f"{uid}:{gid}", uid, gid)
