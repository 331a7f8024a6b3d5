"""A pool is deleted without force only if it is proven to be empty: tested with every kind of contents."""

import json
import secrets
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import rados
import rbd

from provisioner.ceph import pool_survey
from provisioner.ceph.connection import ClusterSettings, Connection
from tests.api.client import Api
from tests.cluster import Ceph

MIB = 1 << 20
LIBRBD = rbd.RBD()


@dataclass(frozen=True)
class Ground:
    ceph: Ceph
    direct: Any
    pool: str
    """Initialised for RBD."""
    other: str
    """The same, and not the one that is to be deleted."""
    raw: str
    """Never initialised."""

    def ioctx(self, pool: str | None = None, namespace: str = "") -> Any:
        opened = self.direct.open_ioctx(pool or self.pool)
        opened.set_namespace(namespace)
        return opened

    def image(self, name: str, pool: str | None = None, namespace: str = "", **more: Any) -> Any:
        ioctx = self.ioctx(pool, namespace)
        LIBRBD.create(ioctx, name, MIB, old_format=False, features=more.pop("features", 1), **more)
        return ioctx

    def omap(self, key: str, name: str, value: bytes = b"x", pool: str | None = None) -> None:
        with rados.WriteOpCtx() as operation:
            self.ioctx(pool).set_omap(operation, (name,), (value,))
            self.ioctx(pool).operate_write_op(operation, key)


@pytest.fixture
def ground(ceph: Ceph, direct: Any, pool: str) -> Iterator[Ground]:
    other, raw = (f"{pool}-{word}" for word in ("other", "raw"))
    for name in other, raw:
        direct.create_pool(name)
    with direct.open_ioctx(other) as ioctx:
        LIBRBD.pool_init(ioctx, False)
    yield Ground(ceph, direct, pool, other, raw)
    for name in other, raw:
        if name in direct.list_pools():
            direct.delete_pool(name)


def first_format(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RBD_FORCE_ALLOW_V1", "1")
    ground.ceph.rbd("create", "--image-format", "1", "--size", "1M", f"{ground.pool}/old")


def listed_namespace(ground: Ground, _: Any) -> None:
    LIBRBD.namespace_create(ground.ioctx(), "team")
    ground.image("inside", namespace="team")


def hidden_namespace(ground: Ground, _: Any) -> None:
    listed_namespace(ground, _)
    with rados.WriteOpCtx() as operation:
        ground.ioctx().remove_omap_keys(operation, ("name_team",))
        ground.ioctx().operate_write_op(operation, "rbd_namespace")


def thrown(ground: Ground, _: Any) -> None:
    LIBRBD.trash_move(ground.image("thrown"), "thrown", 0)


def thrown_in_namespace(ground: Ground, _: Any) -> None:
    LIBRBD.namespace_create(ground.ioctx(), "team")
    LIBRBD.trash_move(ground.image("thrown", namespace="team"), "thrown", 0)


def data_written(ground: Ground, _: Any) -> None:
    ioctx = ground.image("elsewhere", ground.other, data_pool=ground.pool)
    with rbd.Image(ioctx, "elsewhere") as image:
        image.write(b"x" * 100, 0)


def data_not_yet_written(ground: Ground, _: Any) -> None:
    ground.image("elsewhere", ground.other, data_pool=ground.pool)


def data_of_a_thrown_image(ground: Ground, _: Any) -> None:
    LIBRBD.trash_move(ground.image("elsewhere", ground.other, data_pool=ground.pool), "elsewhere", 0)


def data_of_a_namespace(ground: Ground, _: Any) -> None:
    LIBRBD.namespace_create(ground.ioctx(ground.other), "team")
    ground.image("elsewhere", ground.other, "team", data_pool=ground.pool)


def parent_of_a_clone(ground: Ground, _: Any) -> None:
    with rbd.Image(ground.image("parent"), "parent") as image:
        image.create_snap("s")
        image.protect_snap("s")
    LIBRBD.clone(ground.ioctx(), "parent", "s", ground.ioctx(ground.other), "child", features=1)


def group(ground: Ground, _: Any) -> None:
    LIBRBD.group_create(ground.ioctx(), "databases")


def journal(ground: Ground, _: Any) -> None:
    journal_not_yet_written(ground, _)
    with rbd.Image(ground.ioctx(ground.other), "journaled") as image:
        image.write(b"x", 0)


def journal_not_yet_written(ground: Ground, _: Any) -> None:
    features = ("--image-feature", "exclusive-lock,journaling", "--journal-pool", ground.pool)
    ground.ceph.rbd("create", "--size", "1M", *features, f"{ground.other}/journaled")


def orphaned_data(ground: Ground, _: Any) -> None:
    ground.ioctx().write_full("rbd_data.123456.0000000000000000", b"x")


def half_made_image(ground: Ground, _: Any) -> None:
    ground.ioctx().write_full("rbd_id.half", struct.pack("<I", 1) + b"7")


def mirroring(ground: Ground, _: Any) -> None:
    LIBRBD.mirror_mode_set(ground.ioctx(), rbd.RBD_MIRROR_MODE_IMAGE)


def peer(ground: Ground, _: Any) -> None:
    mirroring(ground, _)
    LIBRBD.mirror_peer_add(ground.ioctx(), "far", "client.mirror")


def volumes_journal(ground: Ground, _: Any) -> None:
    ground.omap("csi.volumes.default", "csi.volume.pvc-1", b"1-2-3")


def snapshots_journal(ground: Ground, _: Any) -> None:
    ground.omap("csi.snaps.default", "csi.snap.snapshot-1", b"1-2-3")


def schedule(ground: Ground, _: Any) -> None:
    ground.omap("rbd_trash_purge_schedule", "pool", b"[]")


def gateway(ground: Ground, _: Any) -> None:
    ground.ceph.ceph("osd", "pool", "application", "enable", ground.raw, "rgw")


def gateway_zone(ground: Ground, _: Any) -> None:
    name = f"{ground.raw}:users.uid".encode()
    if ".rgw.root" not in ground.direct.list_pools():
        ground.direct.create_pool(".rgw.root")
    zone = b"\x0d\x07\x10\x00\x00\x00" + struct.pack("<I", len(name)) + name
    ground.ioctx(".rgw.root").write_full("zone_info.c5ab", zone)


def file_system(ground: Ground, _: Any) -> None:
    ground.ceph.ceph("osd", "pool", "application", "enable", ground.raw, "cephfs")
    ground.ceph.ceph("osd", "pool", "application", "set", ground.raw, "cephfs", "data", "home")


def files(ground: Ground, _: Any) -> None:
    ground.ioctx(ground.raw).write_full("10000000000.00000000", b"x")


def plain_object(ground: Ground, _: Any) -> None:
    ground.ioctx(ground.raw).write_full("anything", b"x")


def empty_object(ground: Ground, _: Any) -> None:
    """Object gateways and lock managers keep everything in keys and attributes."""
    ground.ioctx(ground.raw).write_full("anything", b"")


def object_in_a_namespace(ground: Ground, _: Any) -> None:
    ground.ioctx(namespace="cold").write_full("anything", b"x")


def known_name_with_other_data(ground: Ground, _: Any) -> None:
    ground.ioctx().write_full("rbd_trash", b"foreign notes")


def known_name_in_a_namespace(ground: Ground, _: Any) -> None:
    with rados.WriteOpCtx() as operation:
        ioctx = ground.ioctx(namespace="cold")
        ioctx.set_omap(operation, ("id_1",), (bytes(30),))
        ioctx.operate_write_op(operation, "rbd_trash")


def snapshot_of_the_pool(ground: Ground, _: Any) -> None:
    ground.ceph.ceph("osd", "pool", "mksnap", ground.raw, "before")


def only_in_a_snapshot(ground: Ground, _: Any) -> None:
    ioctx = ground.ioctx()
    ioctx.write_full("gone", b"x")
    ioctx.set_self_managed_snap_write([ioctx.create_self_managed_snap()])
    ioctx.remove_object("gone")


def cache_tier(ground: Ground, _: Any) -> None:
    ground.ceph.ceph("osd", "tier", "add", ground.other, ground.raw)


def default_data_pool(ground: Ground, _: Any) -> None:
    ground.ceph.ceph("config", "set", "client.stranger", "rbd_default_data_pool", ground.pool)


def data_pool_of_another_pool(ground: Ground, _: Any) -> None:
    LIBRBD.pool_metadata_set(ground.ioctx(ground.other), "conf_rbd_default_data_pool", ground.pool)


CASES: dict[Callable[[Ground, pytest.MonkeyPatch], None], str] = {
    first_format: "images: 1, in the trash: 0",
    listed_namespace: "images: 1",
    hidden_namespace: "images: 1",
    thrown: "in the trash: 1",
    thrown_in_namespace: "in the trash: 1",
    data_written: "images of other pools keep their data in it: 1, {other}/elsewhere",
    data_not_yet_written: "images of other pools keep their data in it: 1, {other}/elsewhere",
    data_of_a_thrown_image: "(in the trash)",
    data_of_a_namespace: "{other}/team/elsewhere",
    parent_of_a_clone: "images of other pools are clones of its images: 1, {other}/child",
    group: "groups of images: 1",
    journal: "journals of RBD images",
    journal_not_yet_written: "images of other pools keep their journals in it: 1, {other}/journaled",
    orphaned_data: "objects with data of RBD images: 1",
    half_made_image: "headers of RBD images: 1",
    mirroring: "mirroring: 1",
    peer: "mirroring: 1",
    volumes_journal: "entries of ceph-csi's journal: 1",
    snapshots_journal: "entries of ceph-csi's journal: 1",
    schedule: "tasks and schedules: 1",
    gateway: "it has the application rgw",
    gateway_zone: "a zone of object gateways names it",
    file_system: "it has the application cephfs",
    files: "objects of CephFS: 1",
    plain_object: "objects of other applications: 1, such as 'anything'",
    empty_object: "objects of other applications: 1",
    object_in_a_namespace: "such as 'cold/anything'",
    known_name_with_other_data: "trash: 1",
    known_name_in_a_namespace: "in the trash: 1",
    snapshot_of_the_pool: "snapshots of the pool: 1, before",
    only_in_a_snapshot: "objects of other applications: 1, such as 'gone'",
    cache_tier: "it is a cache tier",
    default_data_pool: "Ceph's configuration names it (rbd_default_data_pool of client.stranger)",
    data_pool_of_another_pool: "the configuration of pool {other} names it (conf_rbd_default_data_pool)",
}
RAW = (gateway, gateway_zone, file_system, files, plain_object, empty_object, snapshot_of_the_pool, cache_tier)


@pytest.mark.parametrize("fill", CASES, ids=lambda fill: fill.__name__)
def test_pool_with_contents_is_kept_and_they_are_named(
    api: Api, ground: Ground, monkeypatch: pytest.MonkeyPatch, fill: Callable[[Ground, pytest.MonkeyPatch], None]
) -> None:
    fill(ground, monkeypatch)
    name = ground.raw if fill in RAW else ground.pool
    try:
        refused = api.delete(f"/pools/{name}?confirm={name}")
        assert refused.status == 409, refused.text
        assert CASES[fill].format(other=ground.other) in refused.json["detail"]
        assert "force=true" in refused.json["detail"]
        assert name in ground.direct.list_pools()
    finally:
        undo(ground, fill)


def undo(ground: Ground, fill: Callable[[Ground, pytest.MonkeyPatch], None]) -> None:
    """What would outlive the pools."""
    if fill is default_data_pool:
        ground.ceph.ceph("config", "rm", "client.stranger", "rbd_default_data_pool")
    if fill is cache_tier:
        ground.ceph.ceph("osd", "tier", "remove", ground.other, ground.raw)
    if fill is gateway_zone:
        ground.direct.delete_pool(".rgw.root")


def test_emptied_pool_is_deleted(api: Api, ground: Ground) -> None:
    ioctx = ground.image("first", features=61)
    with rbd.Image(ioctx, "first") as image:
        image.write(b"x" * MIB, 0)
        image.create_snap("s")
        image.remove_snap("s")
    LIBRBD.remove(ioctx, "first")
    LIBRBD.group_create(ioctx, "group")
    LIBRBD.group_remove(ioctx, "group")
    LIBRBD.namespace_create(ioctx, "team")
    LIBRBD.mirror_mode_set(ioctx, rbd.RBD_MIRROR_MODE_IMAGE)
    LIBRBD.mirror_mode_set(ioctx, rbd.RBD_MIRROR_MODE_DISABLED)
    LIBRBD.config_set(ioctx, "rbd_cache", "false")
    for name in ground.pool, ground.raw:
        gone = api.delete(f"/pools/{name}?confirm={name}")
        assert gone.status == 204, gone.text
        assert "Sutler-Lost" not in gone.headers


def test_pool_emptied_of_format_1_images_is_deleted(api: Api, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    first_format(ground, monkeypatch)
    LIBRBD.remove(ground.ioctx(), "old")
    assert api.delete(f"/pools/{ground.pool}?confirm={ground.pool}").status == 204


def test_forced_deletion_names_what_was_destroyed(api: Api, ground: Ground) -> None:
    ioctx = ground.image("disk")
    with rbd.Image(ioctx, "disk") as image:
        image.metadata_set("csi.storage.k8s.io/pvc/namespace", "shop")
        image.metadata_set("csi.storage.k8s.io/pvc/name", "data")
    kept = api.delete(f"/pools/{ground.pool}?confirm={ground.pool}")
    assert (kept.status, kept.json["images"]) == (409, ["disk"])
    assert "of claims shop/data" in kept.json["detail"]
    gone = api.delete(f"/pools/{ground.pool}?confirm={ground.pool}&force=true")
    assert gone.status == 204
    assert "images: 1, of claims shop/data, in the trash: 0" in gone.headers["Sutler-Lost"]


@pytest.fixture
def limited(ceph: Ceph) -> Iterator[Callable[[str], Connection]]:
    """Connections as a user with such caps for the OSDs."""
    user = f"pools-{secrets.token_hex(4)}"
    opened: list[Connection] = []

    def connect(osd: str) -> Connection:
        made = json.loads(
            ceph.ceph("auth", "get-or-create", f"client.{user}", "mon", "allow rw", "osd", osd, "-f", "json")
        )
        settings = ClusterSettings(conf=str(ceph.conf), user=user, key=made[0]["key"], timeout=3, connect_timeout=3)
        opened.append(Connection(settings))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()
    ceph.ceph("auth", "rm", f"client.{user}")


@pytest.mark.parametrize(
    "caps",
    [
        "profile rbd pool={other}",
        "profile rbd pool={pool}",
        "profile rbd pool={pool} namespace=team",
        "allow class-read",
    ],
)
def test_unreadable_contents_are_not_proven_empty(
    limited: Callable[[str], Connection], ground: Ground, caps: str
) -> None:
    found = pool_survey.survey(limited(caps.format(pool=ground.pool, other=ground.other)), ground.pool, seconds=10)
    assert not found.proven_empty
    assert "could not be verified to be empty" in found.refusal()
    assert "check the Ceph user's caps" in found.refusal()


def test_documented_caps_suffice_for_the_proof(limited: Callable[[str], Connection], ground: Ground) -> None:
    assert pool_survey.survey(limited("profile rbd"), ground.pool, seconds=10).proven_empty


def test_failed_listing_is_not_an_empty_pool(settings_of: ClusterSettings, ground: Ground) -> None:
    """Python's binding takes an operation that timed out for the end of the list."""
    connection = Connection(settings_of)
    ground.ceph.osd.freeze()
    try:
        found = pool_survey.survey(connection, ground.pool, seconds=2)
    finally:
        ground.ceph.osd.resume()
        connection.close()
    assert not found.proven_empty
    assert any("a placement group does not answer" in one for one in found.unverified)


def test_more_objects_in_the_statistics_than_listed_are_not_a_proof(
    settings_of: ClusterSettings, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = Connection(settings_of)
    real = connection.command

    def counting(prefix: str, **arguments: str) -> Any:
        if prefix == "df":
            return {"pools": [{"name": ground.pool, "stats": {"objects": 7, "stored": 100}}]}
        return real(prefix, **arguments)

    monkeypatch.setattr(connection, "command", counting)
    found = pool_survey.survey(connection, ground.pool, seconds=1)
    connection.close()
    assert found.unverified == ["Ceph's statistics count 7 objects, only 1 were listed"]


@pytest.fixture
def settings_of(ceph: Ceph) -> ClusterSettings:
    return ClusterSettings(conf=str(ceph.conf), timeout=1, connect_timeout=3)
