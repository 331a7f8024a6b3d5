"""The order in which clones are flattened, stopped and released; test_flatten_policy.py has a real Ceph."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from provisioner.ceph.errors import NoSpace
from provisioner.ceph.removal_progress import Cancelled
from provisioner.volumes import flattener
from provisioner.volumes.cache_entries import volume_entry
from provisioner.volumes.flattener import Flattener
from tests.cluster.wait import wait_for_async
from tests.volumes.objects import volume

PARENT = "sutler-1//2//5a1b"
VOLUME = volume(phase="Bound", annotations={"sutler.dev/flatten-policy": "async", "sutler.dev/ancestors": PARENT})
NAME = VOLUME["metadata"]["name"]


class World:
    """A volume in the API server, and its image."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
        self.error = error
        self.done: list[str] = []
        self.release = asyncio.Event()
        self.volumes: dict[str, Any] = {NAME: volume_entry(VOLUME)}
        context: Any = SimpleNamespace(client=self, events=self, fence=lambda: None, get_or_none=self.get_or_none)
        informers: Any = SimpleNamespace(volumes=self.volumes)
        self.flattener = Flattener(context, informers, release=self.released)
        monkeypatch.setattr(flattener, "locate_image", self.locate)

    async def until(self, step: str) -> None:
        async def done() -> bool:
            return step in self.done

        await wait_for_async(done, step)

    async def get_or_none(self, *_: Any) -> Any:
        return VOLUME

    async def locate(self, *_: Any) -> Any:
        return self, SimpleNamespace(id="6c2d", name="image")

    name = "rbd"

    async def flatten(self, identifier: str, *, progress: Any, **_: Any) -> bool:
        self.done.append(f"flatten {identifier}")
        if self.error is not None:
            raise self.error
        while not self.release.is_set():
            progress(0.5)
            await asyncio.sleep(0)
        return True

    async def released(self, image: Any) -> None:
        self.done.append(f"release {image}")

    async def merge_patch(self, *_: Any) -> None:
        self.done.append("patch")
        self.volumes.clear()

    def normal(self, _: Any, reason: str, __: str) -> None:
        self.done.append(reason)

    def warning(self, _: Any, reason: str, __: str) -> None:
        self.done.append(reason)


async def running(world: World) -> "asyncio.Task[None]":
    task = asyncio.create_task(world.flattener.run())
    world.flattener.volume_changed(NAME)
    await world.until("flatten 6c2d")
    return task


async def test_request_is_removed_only_after_the_parents_are_released(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    task = await running(world)
    world.release.set()
    await world.until("patch")
    assert world.done == ["flatten 6c2d", "ImageFlattened", f"release {PARENT}", "patch"]
    task.cancel()


async def test_volume_that_is_deleted_stops_the_work_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    task = await running(world)
    world.volumes[NAME] = volume_entry(volume())
    world.flattener.volume_changed(NAME)
    await world.flattener.stop(NAME)
    assert world.flattener._running == {}
    assert world.done == ["flatten 6c2d"]
    task.cancel()


async def test_failure_is_reported_and_keeps_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, NoSpace("the pool is full"))
    task = await running(world)
    await world.until("FlattenFailed")
    assert "patch" not in world.done
    task.cancel()


async def test_end_of_the_leadership_stops_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    task = await running(world)
    progress, ended = world.flattener._running[NAME]
    task.cancel()
    await ended.wait()
    with pytest.raises(Cancelled, match="the controller stops"):
        progress.report(0.6)
