"""Clusters that hang, do not answer or reject the client, and several clusters."""

import asyncio
import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from provisioner.ceph import images as image_calls
from provisioner.ceph import removal
from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.cluster_config import CephClusters, ClusterSources
from provisioner.ceph.connection import ClusterSettings, Connection
from provisioner.ceph.errors import CephError, CephUnavailable, Denied, InvalidArgument, OutcomeUnknown, PoolMissing
from provisioner.ceph.model import ImageQuery
from provisioner.ceph.pool import RbdPool
from tests.ceph.test_images import SPEC, UID, create, open_gate
from tests.cluster import Ceph, wait_for_async


@pytest.fixture
def frozen(ceph: Ceph) -> Iterator[Ceph]:
    """An OSD that answers nothing; may be resumed by the test."""
    ceph.osd.freeze()
    yield ceph
    ceph.osd.resume()


async def failure(call: object) -> tuple[CephError, float]:
    started = time.monotonic()
    with pytest.raises(CephError) as caught:
        await call  # type: ignore[misc] # any of the adapter's coroutines
    return caught.value, time.monotonic() - started


async def test_hung_osd_ends_every_call_and_recovers(images: RbdPool, ceph: Ceph) -> None:
    await create(images)
    ceph.osd.freeze()
    try:
        error, took = await failure(create(images, replace(SPEC, name="late")))
        assert isinstance(error, OutcomeUnknown)
        assert str(error).endswith("Ceph did not answer in time (ETIMEDOUT, 110)"), "its caps were enough before"
        assert took < 10, "a time-out of 3 s is not waited out again and again"
        # Known to hang: no other call waits.
        error, took = await failure(images.list_images())
        assert isinstance(error, CephUnavailable)
        assert took < 1.5
    finally:
        ceph.osd.resume()

    async def again() -> bool:
        try:
            await create(images, replace(SPEC, name="late"))
        except CephError:
            return False
        return True

    await wait_for_async(again, "the create to be repeated with success")
    assert sorted(i.name for i in await images.list_images()) == sorted(["late", SPEC.name])


async def test_hanging_pool_does_not_fill_all_threads_for_long(
    settings: ClusterSettings, pool: str, frozen: Ceph
) -> None:
    cluster = CephCluster(replace(settings, threads=4, timeout=8))
    images = cluster.pool(pool)
    started = time.monotonic()
    calls = [failure(create(images, replace(SPEC, name=f"i{n}"))) for n in range(12)]
    errors = [error for error, _ in await asyncio.gather(*calls)]
    assert time.monotonic() - started < 15, "three rounds of 8 s each"
    assert {type(error) for error in errors} == {OutcomeUnknown, CephUnavailable}
    assert sum(isinstance(error, OutcomeUnknown) for error in errors) <= 5
    frozen.osd.resume()
    assert await cluster.wait_idle(10)
    await cluster.close()


async def test_error_of_osds_that_never_answered_names_the_caps(cluster: CephCluster, pool: str, frozen: Ceph) -> None:
    for kind in OutcomeUnknown, CephUnavailable:
        error, _ = await failure(cluster.pool(pool).list_images())
        assert isinstance(error, kind)
        assert "no OSD has answered client.admin so far: check its caps" in str(error)
    frozen.osd.resume()


async def test_calls_never_change_one_image_at_the_same_time(
    settings: ClusterSettings, pool: str, frozen: Ceph
) -> None:
    cluster = CephCluster(settings)
    images, ended = cluster.pool(pool), list[str]()
    first = asyncio.create_task(failure(create(images)))

    async def begun() -> bool:
        return any(SPEC.name in key for key in cluster._quick._in_flight._running)

    await wait_for_async(begun, "the call to be in its thread, where it stays for the 3 s of its time-out")
    removed = asyncio.create_task(images.remove(ImageQuery(SPEC.name, "x", ""), fence=open_gate))
    removed.add_done_callback(lambda _: ended.append("removed"))
    first.add_done_callback(lambda _: ended.append("created"))
    await first
    frozen.osd.resume()
    with suppress(CephError):
        await removed
    assert ended == ["created", "removed"]
    await cluster.close()


async def test_missing_monitor_is_reported_in_time(nowhere: Path) -> None:
    cluster = CephCluster(ClusterSettings(name="far", conf=str(nowhere), connect_timeout=2))
    error, took = await failure(cluster.fsid())
    assert isinstance(error, CephUnavailable)
    assert "Ceph cluster far as client.admin: no monitor answers" in str(error)
    assert took < 20
    error, took = await failure(cluster.pool("rbd").list_images())
    assert isinstance(error, CephUnavailable)
    assert took < 1


async def test_connection_is_restored_after_the_cluster_returns(ceph: Ceph, nowhere: Path) -> None:
    cluster = CephCluster(ClusterSettings(conf=str(nowhere), connect_timeout=1, timeout=3))
    await asyncio.gather(*(failure(cluster.fsid()) for _ in range(3)))
    nowhere.write_text(ceph.conf.read_text())  # noqa: ASYNC240 - a moment

    async def answers() -> bool:
        try:
            await cluster.fsid()
        except CephUnavailable:
            return False
        return True

    await wait_for_async(answers, "the cluster to answer")
    await cluster.close()


async def test_unknown_user_and_missing_configuration_are_distinguished(settings: ClusterSettings) -> None:
    error, _ = await failure(CephCluster(replace(settings, user="stranger")).fsid())
    assert isinstance(error, Denied)
    assert "client.stranger" in str(error)
    error, _ = await failure(CephCluster(replace(settings, conf="/does/not/exist")).fsid())
    assert isinstance(error, Denied)
    assert "/does/not/exist" in str(error)


async def test_error_of_a_user_without_permissions_names_the_caps(
    ceph: Ceph, settings: ClusterSettings, pool: str
) -> None:
    key = json.loads(ceph.ceph("auth", "get-or-create", "client.reader", "mon", "profile rbd", "-f", "json"))[0]["key"]
    cluster = CephCluster(replace(settings, user="reader", key=key))
    error, _ = await failure(create(cluster.pool(pool)))
    # OSDs of Ceph 18 and later don't even let it in, which librados waits out.
    assert isinstance(error, Denied if ceph.release == "16" else OutcomeUnknown)
    assert "caps" in str(error)
    assert key not in str(error)
    assert key not in repr(cluster.settings)
    await cluster.close()


async def test_blocklisted_client_reconnects(cluster: CephCluster, images: RbdPool, ceph: Ceph) -> None:
    await create(images)
    address = await cluster.run("address", lambda connection: str(connection.rados.get_addrs()))
    ceph.ceph("osd", "blocklist", "add", address.removeprefix("v2:").split(",")[0].strip("[]"))

    async def healed() -> bool:
        try:
            await create(images, replace(SPEC, name="second"))
        except CephError:
            return False
        return True

    await wait_for_async(healed, "a new connection")


def folder(root: Path, name: str, files: dict[str, str]) -> Path:
    for file, text in files.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name / file).write_text(text)
    return root


async def test_clusters_are_configured_in_the_formats_of_ceph_csi(ceph: Ceph, tmp_path: Path, pool: str) -> None:
    monitor = next(line.split("= ")[1] for line in ceph.conf.read_text().splitlines() if line.startswith("mon host"))
    key = json.loads(ceph.ceph("auth", "get-key", "client.admin", "-f", "json"))["key"]
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps([{"clusterID": "b", "monitors": [monitor.strip("[]").split(",")[1].removeprefix("v1:")]}])
    )
    secrets = folder(tmp_path / "keys", "b", {"userID": "admin\n", "userKey": f"{key}\n"})
    folder(secrets, "c", {"ceph.conf": ceph.conf.read_text()})
    clusters = CephClusters(ClusterSources(ClusterSettings(conf=os.devnull), secrets, config))
    for name in ("b", "c"):
        await create(clusters.get(name).pool(pool), replace(SPEC, name=f"in-{name}"))
    with pytest.raises(InvalidArgument, match="clusterID d is not configured: the configured ones are b, c"):
        clusters.get("d")
    assert len(await clusters.get("b").pool(pool).list_images()) == 2
    await clusters.get("b").close()
    await clusters.get("c").close()


async def test_any_id_refers_to_a_single_cluster() -> None:
    clusters = CephClusters(ClusterSources(ClusterSettings(conf="x")))
    assert clusters.get("").settings.conf == clusters.get("anything").settings.conf == "x"


def test_invalid_configuration_is_reported(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"clusterID": "b"}')
    for sources, says in [
        (ClusterSources(ClusterSettings(), None, config), "is not ceph-csi's config.json"),
        (ClusterSources(ClusterSettings(), None, tmp_path / "no.json"), "does not exist"),
        (ClusterSources(ClusterSettings(), tmp_path / "no"), "does not exist"),
    ]:
        with pytest.raises(InvalidArgument, match=says):
            CephClusters(sources).get("b")


@pytest.mark.parametrize(
    "work",
    [
        image_calls.list_images,
        removal.list_trash,
        partial(image_calls.get_id, name="data"),
        partial(image_calls.describe, name="data"),
        partial(image_calls.resize, name="data", size=2**20, fence=open_gate),
        lambda ioctx: ioctx.get_pool_name(),
    ],
    ids=["list", "list_trash", "get_id", "describe", "resize", "an error that no one translates"],
)
async def test_pool_that_is_deleted_during_a_call_is_an_error_of_ceph(
    cluster: CephCluster, pool: str, direct: Any, work: Callable[[Any], object]
) -> None:
    """The errors of the binding itself would end the controller."""

    def run(connection: Connection) -> object:
        ioctx = connection.ioctx(pool)
        direct.delete_pool(pool)
        connection.rados.wait_for_latest_osdmap()
        return work(ioctx)

    try:
        assert await cluster.run("test", run, pool=pool) == []
    except CephError as error:
        assert error.code == errno.ENOENT, error  # noqa: PT017 - librbd lists nothing, or says that it is missing


async def test_image_in_a_pool_that_is_deleted_during_its_removal_is_removed(
    images: RbdPool, pool: str, direct: Any
) -> None:
    await create(images)
    with suppress(PoolMissing):
        await images.remove(ImageQuery(SPEC.name, UID, ""), fence=partial(direct.delete_pool, pool))
    assert not await images.exists()
