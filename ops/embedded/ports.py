"""TCP ports: finding free ones, keeping them, saying who else has them."""

import errno
import importlib
import json
import random
import socket
from collections.abc import Sequence
from pathlib import Path

from ops.embedded.errors import EmbeddedError

PORTS = range(20000, 30000)  # below the ports that systems hand out for outgoing connections


def remembered_ports(path: Path, names: Sequence[str]) -> dict[str, int]:
    """The ports a data directory was made with, or new free ones, written down in `path`."""
    if path.exists():
        ports: dict[str, int] = json.loads(path.read_text())
        return ports
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(ports))
    part.replace(path)
    return ports


def free_ports(count: int) -> list[int]:
    candidates = random.sample(PORTS, len(PORTS))
    free = [port for port in candidates[: 50 * count] if port_free(port)][:count]
    if len(free) < count:
        raise EmbeddedError(f"No free TCP port found between {PORTS.start} and {PORTS.stop}. End other servers.")
    return free


def port_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True


def require_port(name: str, port: int, way_out: str = "choose another port") -> None:
    """Refuse with an explanation when somebody else sits on the port."""
    if not port_free(port):
        raise EmbeddedError(
            f"{name} needs port {port} of 127.0.0.1, which is taken by {_who_listens(port)}. "
            f"End that process, or {way_out}."
        )


def _who_listens(port: int) -> str:
    try:
        psutil = importlib.import_module("psutil")
        for connection in psutil.net_connections("tcp"):
            if connection.status == "LISTEN" and connection.laddr.port == port and connection.pid:
                return f"pid {connection.pid} ({psutil.Process(connection.pid).name()})"
    except Exception:  # psutil is not installed, or may not see other users' processes
        return "another process"
    return "another process"
