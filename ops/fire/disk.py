"""A small disk of memory below a server's data, which can be filled: where this user may mount one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAME, SIZE = "bitcorp-fire", "2g"
BALLAST = ".ballast"
PAGE = 4096


def mountable() -> bool:
    """Whether this user may mount file systems here; asked where nobody else sees the answer."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    words = ["unshare", "--mount", "mount", "-t", "tmpfs", NAME, "/mnt"]
    return subprocess.run(words, capture_output=True).returncode == 0


class Disk:
    """A file system in memory at `folder`, from `mount` to `unmount`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / BALLAST

    def mount(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", NAME, str(self.folder)], check=True)

    def fill(self) -> None:
        """Leave nothing free, while others write too."""
        size, taken = shutil.disk_usage(self.folder).free, 0
        with self._ballast.open("wb") as file:
            while size >= PAGE:
                try:
                    os.posix_fallocate(file.fileno(), taken, size)
                    taken += size
                except OSError:
                    size //= 2

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        """With all that is on it; nothing happens where it is not mounted."""
        if self.folder.is_mount():
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
