"""What happens to the platform in a campaign: each fault by name, from its beginning until it is healed."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TypeAlias

from ops.fire.disk import mountable
from ops.fire.ground import BACK_SECONDS, OTHERS, SESSION_SECONDS, Ground
from ops.fire.jumping import JUMP, JUMPS, can_jump
from ops.fire.load import Load
from ops.fire.proxy import Cut
from ops.fire.story import Story
from ops.fire.waiting import until


@dataclass(frozen=True)
class Scene:
    """What a fault has to do with: the ground, what is sent, and a chance drawn from the seed."""

    ground: Ground
    story: Story
    load: Load
    chance: Random

    def lanes(self) -> str:
        """The name of one lane worker."""
        return self.chance.choice(self.ground.lanes)

    def wait(self, least: float, most: float) -> None:
        time.sleep(self.chance.uniform(least, most))


Happening: TypeAlias = Callable[[Scene], None]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong; `happen` returns when it is over, and what it hit may still be coming back."""

    name: str
    meaning: str
    happen: Happening
    playable: Callable[[], bool]


FAULTS: dict[str, Fault] = {}
DISK_FULL = "disk-full"


def fault(happen: Happening, playable: Callable[[], bool] = lambda: True) -> Happening:
    """A function is a fault by its name; the first line of what it says is the meaning."""
    name = happen.__name__.replace("_", "-")
    FAULTS[name] = Fault(name, (happen.__doc__ or "").partition("\n")[0], happen, playable)
    return happen


def fault_where(playable: Callable[[], bool]) -> Callable[[Happening], Happening]:
    """A fault that cannot be played everywhere, nor by everybody."""
    return partial(fault, playable=playable)


# --- processes ------------------------------------------------------------------------------------------------------


@fault
def kill(scene: Scene) -> None:
    """kill -9 of any process."""
    victim = scene.chance.choice(scene.ground.processes)
    scene.ground.end(victim.name, signal.SIGKILL)


@fault
def kill_lanes(scene: Scene) -> None:
    """kill -9 of a lane worker."""
    scene.ground.end(scene.lanes(), signal.SIGKILL)


@fault
def pause(scene: Scene) -> None:
    """SIGSTOP of a lane worker for longer than its session, then SIGCONT: the former owner writes late."""
    with paused(scene.ground, scene.lanes()):
        scene.wait(SESSION_SECONDS + 1, SESSION_SECONDS + 4)


@fault
def rolling_restart(scene: Scene) -> None:
    """SIGTERM of every process, one after the other, each when the one before runs again."""
    for process in scene.ground.processes:
        scene.ground.end(process.name, signal.SIGTERM)


@fault
def hand_over_storm(scene: Scene) -> None:
    """Lane workers join and leave every few seconds."""
    for _ in range(2):
        with ExitStack() as guests:
            for _ in range(scene.chance.randint(1, 2)):
                guests.enter_context(scene.ground.guest())
                scene.wait(2, 4)


@fault_where(can_jump)
def clock_jumps(scene: Scene) -> None:
    """The clock of a worker jumps: two days ahead, then two behind, then back."""
    name = scene.chance.choice([*scene.ground.lanes, *OTHERS])
    for _ in JUMPS:
        scene.ground.tell(name, JUMP)
        scene.wait(2, 4)


# --- servers --------------------------------------------------------------------------------------------------------


@fault
def broker_kill(scene: Scene) -> None:
    """kill -9 of the broker."""
    scene.ground.end("kafka", signal.SIGKILL)


@fault
def broker_restart(scene: Scene) -> None:
    """The broker stops cleanly and starts again."""
    scene.ground.end("kafka", signal.SIGTERM)


@fault
def broker_pause(scene: Scene) -> None:
    """SIGSTOP of the broker for some seconds, then SIGCONT."""
    with paused(scene.ground, "kafka"):
        scene.wait(1, SESSION_SECONDS + 4)


@fault
def postgres_kill(scene: Scene) -> None:
    """kill -9 of PostgreSQL."""
    scene.ground.end("postgres", signal.SIGKILL)


@fault_where(mountable)
def disk_full(scene: Scene) -> None:
    """The broker's disk is full for some seconds."""
    kafka, disk = scene.ground.thing("kafka"), scene.ground.disk
    assert disk is not None, "a campaign with this fault has a small disk"
    disk.fill()
    try:
        scene.wait(3, 6)
    finally:
        disk.free()
    until(kafka.alive, BACK_SECONDS, "the broker runs again")


# --- the network ----------------------------------------------------------------------------------------------------


@fault
def cut_off(scene: Scene) -> None:
    """A lane worker is cut off from the broker, both ways."""
    cut(scene, Cut.BOTH)


@fault
def cut_one_way(scene: Scene) -> None:
    """A lane worker is cut off one way: the broker does not hear it, or it does not hear the broker."""
    cut(scene, scene.chance.choice((Cut.REQUESTS, Cut.ANSWERS)))


@fault
def cut_from_coordinator(scene: Scene) -> None:
    """A lane worker reads and writes, but does not reach its group's coordinator."""
    cut(scene, Cut.COORDINATOR)


# --- messages -------------------------------------------------------------------------------------------------------


@fault
def poison(scene: Scene) -> None:
    """5 % of what comes is poison: broken headers, keys and values, and text that harms."""
    with told(scene.story, poison=0.05):
        scene.wait(5, 10)


@fault
def rule_raises(scene: Scene) -> None:
    """5 % of the commands meet a rule that raises."""
    with told(scene.story, raising=0.05):
        scene.wait(5, 10)


@fault
def large_records(scene: Scene) -> None:
    """Records just as large as the topic takes, among the others."""
    for _ in range(3):
        scene.load.add(scene.story.large(scene.chance))
        scene.wait(1, 2)


def playable() -> list[str]:
    """The faults that can be played by this user on this machine."""
    return [name for name, fault in FAULTS.items() if fault.playable()]


# --- how ------------------------------------------------------------------------------------------------------------


@contextmanager
def paused(ground: Ground, name: str) -> Iterator[None]:
    ground.tell(name, signal.SIGSTOP)
    try:
        yield
    finally:
        ground.tell(name, signal.SIGCONT)


@contextmanager
def told(story: Story, **shares: float) -> Iterator[None]:
    usual = story.shares
    story.shares = shares | usual
    try:
        yield
    finally:
        story.shares = usual


def cut(scene: Scene, where: Cut) -> None:
    """For long enough that the session ends, or shorter."""
    proxy = scene.ground.network.proxies[scene.lanes()]
    proxy.cut = where
    try:
        scene.wait(2, 3 * SESSION_SECONDS)
    finally:
        proxy.cut = None
