"""Become a server that ends with its parent: the system calls between fork and exec.

Run as a script in an interpreter of its own, because Python code between fork and exec of a process with
threads can hang. Usage: launcher.py <parent pid> <signal at its death> <as: self | namespace | uid:gid> <command...>
"""

import ctypes
import os
import pwd
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, death_signal, identity, *command = sys.argv[1:]
    take_identity(identity)
    # After the change of identity, which would clear it.
    die_with(int(parent), int(death_signal))
    os.execv(command[0], command)  # noqa: S606 - becoming the server is the purpose


def take_identity(identity: str) -> None:
    if identity == "namespace":
        enter_namespace()
    elif identity != "self":
        uid, gid = (int(part) for part in identity.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def enter_namespace() -> None:
    """Look like an ordinary user to the server (PostgreSQL refuses root) while the files stay root's."""
    nobody = pwd.getpwnam("nobody")
    uid, gid = os.getuid(), os.getgid()
    call("unshare", CLONE_NEWUSER)
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{nobody.pw_uid} {uid} 1")
    write("/proc/self/gid_map", f"{nobody.pw_gid} {gid} 1")


def die_with(parent: int, death_signal: int) -> None:
    if sys.platform != "linux":
        return
    call("prctl", PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the process that wanted this server has ended")


def call(name: str, *arguments: int) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def write(path: str, text: str) -> None:
    Path(path).write_text(text)


if __name__ == "__main__":
    main()
