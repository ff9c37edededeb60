"""A disk that can be filled, where this user may mount one."""

import errno
from pathlib import Path

import pytest

from ops.fire.disk import Disk, mountable

pytestmark = pytest.mark.skipif(not mountable(), reason="mounts a disk, for root on Linux")


@pytest.mark.thorough
def test_a_full_disk_takes_nothing_until_it_is_freed_and_goes_with_all_that_is_on_it(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk")
    disk.mount()
    try:
        disk.fill()
        with pytest.raises(OSError, match="No space left") as refused:
            (disk.folder / "more").write_bytes(bytes(8192))
        assert refused.value.errno == errno.ENOSPC
        disk.free()
        (disk.folder / "more").write_bytes(bytes(8192))
    finally:
        disk.unmount()
    disk.unmount()
    assert list(disk.folder.iterdir()) == []
