"""Foreign Secrets in the way: the moment at which one goes is seen, without asking again and again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from provisioner.secrets.conflict_watches import MOST, ConflictWatches
from sutler.kube.client import Client, connect
from sutler.kube.resources import SECRETS
from tests.cluster import ControlPlane, wait_for_async


@pytest.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[Client]:
    async with connect(str(control_plane.kubeconfig), component="test") as client:
        yield client


async def make(client: Client, namespace: str, name: str) -> str:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}}
    await client.create(SECRETS, body, namespace)
    return f"{namespace}/{name}"


async def until_seen(seen: list[str], target: str) -> None:
    async def found() -> bool:
        return target in seen

    await wait_for_async(found, f"{target} to be seen free")


async def test_place_is_looked_at_again_when_the_foreign_secret_goes(client: Client, namespace: str) -> None:
    first, second = await make(client, namespace, "pull"), await make(client, namespace, "other")
    seen: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        watches = ConflictWatches(client, tasks, seen.append)
        for target in (first, second):
            watches.observe(target, foreign=True)
        # Whether the watch runs by now or begins later: both are shown.
        await client.delete(SECRETS, "pull", namespace)
        await until_seen(seen, first)
        assert second not in seen
        watches.observe(first, foreign=False)
        await client.delete(SECRETS, "other", namespace)
        await until_seen(seen, second)
        # Nothing is left running, or this block would never end.
        watches.observe(second, foreign=False)


async def test_secret_that_went_before_the_watch_began_is_not_waited_for(client: Client, namespace: str) -> None:
    seen: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        watches = ConflictWatches(client, tasks, seen.append)
        watches.observe(f"{namespace}/gone", foreign=True)
        await until_seen(seen, f"{namespace}/gone")
        watches.observe(f"{namespace}/gone", foreign=False)


async def test_so_many_names_are_watched_and_no_more(client: Client, namespace: str) -> None:
    targets = [f"{namespace}/pull-{number}" for number in range(MOST + 5)]
    async with asyncio.TaskGroup() as tasks:
        before = len(asyncio.all_tasks())
        watches = ConflictWatches(client, tasks, lambda _: None)
        for target in (*targets, *targets):
            watches.observe(target, foreign=True)
        assert len(asyncio.all_tasks()) == before + MOST
        for target in targets:
            watches.observe(target, foreign=False)
