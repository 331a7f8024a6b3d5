"""One change of an image at a time, and no waiting for operations."""

import asyncio

import pytest

from provisioner.api.backend import Backend
from provisioner.api.image_locks import ImageLocks
from provisioner.api.operations import Operation, OperationTarget
from provisioner.api.problem import ProblemError, ProblemKind
from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.connection import ClusterSettings

REMOVAL = Operation("id", OperationTarget("remove", "rbd", "", "image", "1"), "ada", 0)


async def test_second_change_waits_for_the_first_and_others_do_not() -> None:
    locks, order = ImageLocks(), list[str]()

    async def change(key: str, name: str) -> None:
        async with locks.acquire(key):
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} ends")

    await asyncio.gather(change("a", "first"), change("a", "second"), change("b", "other"))
    assert order == ["first begins", "other begins", "first ends", "other ends", "second begins", "second ends"]


async def test_change_is_rejected_at_once_while_an_operation_holds_the_image() -> None:
    locks = ImageLocks()
    async with locks.acquire("a") as lock:
        lock.operation = REMOVAL
        with pytest.raises(ProblemError, match="operation remove of image image is running") as raised:
            async with locks.acquire("a"):
                pass
        assert raised.value.operation == "/api/v1/operations/id"
        lock.operation = None
    async with locks.acquire("a"):
        pass


async def test_change_that_was_waiting_is_refused_when_an_operation_begins() -> None:
    locks = ImageLocks()

    async def wait() -> None:
        async with locks.acquire("a"):
            raise AssertionError

    async with locks.acquire("a") as lock:
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        lock.operation = REMOVAL
    with pytest.raises(ProblemError, match="is running"):
        await waiting


async def test_change_waits_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioner.api.image_locks.LOCK_SECONDS", 0.01)
    locks = ImageLocks()
    async with locks.acquire("a"):
        with pytest.raises(ProblemError, match="try again") as raised:
            async with locks.acquire("a"):
                pass
    assert raised.value.kind is ProblemKind.BUSY


async def test_released_locks_are_removed() -> None:
    locks = ImageLocks()
    for _ in range(3):
        async with locks.acquire("a"):
            pass
    async with locks.acquire("a"):
        task = asyncio.create_task(locks.acquire("a").__aenter__())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert locks._locks == {}


async def test_pools_are_not_changed_without_a_credential_for_that() -> None:
    backend = Backend(CephCluster(ClusterSettings()), None)
    with pytest.raises(ProblemError, match="no Ceph credential that may create") as raised:
        await backend.change_pool("create", "rbd", lambda _: None)
    assert (raised.value.kind, "--pools-user" in (raised.value.accepted or "")) == (ProblemKind.FORBIDDEN, True)
