"""Clocks that jump when a campaign tells them to."""

import subprocess
import sys
import time
from textwrap import dedent

import pytest

from ops.fire.jumping import JUMP, JUMPS

TELL = dedent("""
    import time
    from ops.fire.jumping import jump_when_told
    jump_when_told()
    print("ready", flush=True)
    while input():
        print(time.time(), time.monotonic(), flush=True)
""")
HOUR = 3600


@pytest.mark.thorough
def test_the_time_of_day_jumps_ahead_behind_and_back_and_what_takes_a_second_still_does() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as told:
        assert told.stdin is not None and told.stdout is not None
        assert told.stdout.readline() == "ready\n"
        expected = 0.0
        for jump in JUMPS:
            told.send_signal(JUMP)
            expected += jump.total_seconds()
            print("now?", file=told.stdin, flush=True)
            day, passed = map(float, told.stdout.readline().split())
            assert abs(day - time.time() - expected) < HOUR
            assert abs(passed - time.monotonic()) < HOUR
        assert expected == 0
        print(file=told.stdin, flush=True)
