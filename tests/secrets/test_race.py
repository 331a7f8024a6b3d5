"""Two controllers that both believe to lead: no lease holds them apart here. The API server's preconditions must do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from provisioner.secrets.controller import SecretsController
from sutler.kube.client import connect
from sutler.kube.events import EventRecorder
from tests.cluster import ControlPlane, wait_for
from tests.secrets.conftest import Cluster
from tests.secrets.objects import OWN, Json, auth, auths, config

SPACES = 6


@pytest.fixture
async def controllers(account: Path) -> AsyncIterator[list[SecretsController]]:
    async with AsyncExitStack() as stack:
        running: list[asyncio.Task[None]] = []
        made = []
        for number in range(2):
            client = await stack.enter_async_context(connect(str(account), component=f"race-{number}"))
            controller = SecretsController(client, client, EventRecorder(client, "test"), namespace=OWN, workers=4)
            running += [asyncio.ensure_future(one.run()) for one in controller.reflectors.values()]
            running.append(asyncio.ensure_future(controller.lead()))
            made.append(controller)
        yield made
        for task in running:
            task.cancel()
        await asyncio.wait(running)


async def test_two_leaders_end_with_the_same_copies_and_rest(
    control_plane: ControlPlane, controllers: list[SecretsController]
) -> None:
    cluster = Cluster(control_plane)
    try:
        await asyncio.to_thread(race, cluster)
    finally:
        await asyncio.to_thread(cluster.clean)
    assert [controller.ready() for controller in controllers] == [None, None]


def race(cluster: Cluster) -> None:
    spaces = [cluster.namespace(f"n{number}") for number in range(SPACES)]
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", config(quay__io=auth("u", "0"))))
    for turn in range(1, 4):
        assert cluster.wait_for_reason(mapping, "Synced")["namespaces"] == {"selected": SPACES, "synced": SPACES}
        cluster.source("source", config(quay__io=auth("u", str(turn))))
        for namespace in spaces[turn::4]:
            cluster.kubectl("delete", "secret", mapping, "-n", namespace, "--wait=false")
        rotated(cluster, mapping, {namespace: {"quay.io": {"auth": auth("u", str(turn))}} for namespace in spaces})
    before = cluster.everywhere(mapping)
    cluster.wait_for_reason(
        cluster.mapping("probe", copy_from=cluster.source("source2", config(quay__io="dTpw"))), "Synced"
    )
    assert cluster.everywhere(mapping) == before, "they go on writing"
    cluster.unmap(mapping)
    wait_for(lambda: not cluster.everywhere(mapping), "all copies to be gone")


def rotated(cluster: Cluster, mapping: str, expected: dict[str, Json]) -> None:
    """Waits until the copies, by namespace, hold these credentials."""
    wait_for(
        lambda: {namespace: auths(secret) for namespace, secret in cluster.everywhere(mapping).items()} == expected,
        "the new credentials in every namespace",
    )
