"""Defaults for new images, as librbd's create applies them, and pools that stay usable for snapshots."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import rados

from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.connection import ClusterSettings
from provisioner.ceph.errors import ImageTaken, InvalidArgument
from provisioner.ceph.model import ImageSpec, feature_names
from provisioner.ceph.placement import CreationDefaults
from tests.ceph.test_fast_create import OWNER, SPEC, create
from tests.cluster import Ceph
from tests.cluster.errors import ClusterError


@pytest.mark.parametrize(
    ("given", "defaults", "data_pool", "stripes"),
    [
        ({}, CreationDefaults(), None, (None, None)),
        ({}, CreationDefaults("erasure"), "erasure", (None, None)),
        ({}, CreationDefaults("own"), None, (None, None)),
        ({"data_pool": "asked"}, CreationDefaults("erasure"), "asked", (None, None)),
        ({}, CreationDefaults(None, 65536, 4), None, (65536, 4)),
        ({}, CreationDefaults(None, 65536, None), None, (None, None)),
        ({"stripe_unit": 4096, "stripe_count": 2}, CreationDefaults("erasure", 65536, 4), "erasure", (4096, 2)),
    ],
)
def test_defaults_apply_to_what_is_not_requested(
    given: dict[str, Any], defaults: CreationDefaults, data_pool: str | None, stripes: tuple[int | None, int | None]
) -> None:
    shaped = defaults.apply(ImageSpec("a", 1 << 20, **given), "own")
    assert (shaped.data_pool, (shaped.stripe_unit, shaped.stripe_count)) == (data_pool, stripes)


@pytest.mark.parametrize(
    ("bits", "names"),
    [
        (1 | 1024, ("layering", "non-primary")),
        (4 | 2048, ("exclusive-lock", "dirty-cache")),
        (1 | 4096, ("layering", "unknown-4096")),
        (1 << 63, (f"unknown-{1 << 63}",)),
        (0, ()),
    ],
)
def test_features_are_named_and_newer_ones_numbered(bits: int, names: tuple[str, ...]) -> None:
    assert feature_names(bits) == names


def test_object_map_brings_fast_diff() -> None:
    assert ImageSpec("a", 1, features=("layering", "exclusive-lock", "object-map")).feature_bits == 1 | 4 | 8 | 16


@pytest.fixture
def other(ceph: Ceph, pool: str) -> Iterator[str]:
    name = ceph.pool(f"{pool}-data")
    yield name
    ceph.remove_pool(name)


@pytest.fixture
def raw(ceph: Ceph, pool: str) -> Iterator[str]:
    name = f"{pool}-raw"
    ceph.ceph("osd", "pool", "create", name)
    yield name
    ceph.remove_pool(name)


def info(ceph: Ceph, pool: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ceph.rbd_program("info", f"{pool}/{name}", "--format", "json"))
    return found


@pytest.mark.parametrize("where", ["pool", "monitors", "ceph.conf"])
async def test_default_data_pool_is_honoured(
    settings: ClusterSettings, ceph: Ceph, pool: str, other: str, where: str, tmp_path: Any
) -> None:
    if where == "pool":
        ceph.rbd_program("config", "pool", "set", pool, "rbd_default_data_pool", other)
    elif where == "monitors":
        ceph.ceph("config", "set", "client.placing", "rbd_default_data_pool", other)
        key = json.loads(
            ceph.ceph("auth", "get-or-create", "client.placing", "mon", "allow *", "osd", "allow *", "-f", "json")
        )[0]["key"]
        settings = replace(settings, user="placing", key=key)
    else:
        conf = tmp_path / "ceph.conf"
        conf.write_text(ceph.conf.read_text().replace("[client]", f"[client]\nrbd default data pool = {other}"))
        settings = replace(settings, conf=str(conf))
    cluster = CephCluster(settings)
    await create(cluster.pool(pool))
    await cluster.close()
    made = info(ceph, pool, SPEC.name)
    assert made.get("data_pool") == other
    assert made["size"] == SPEC.size
    assert made["features"] == ["layering", "data-pool"]


async def test_default_stripes_are_honoured(settings: ClusterSettings, ceph: Ceph, pool: str) -> None:
    for option, value in (("unit", 65536), ("count", 4)):
        ceph.rbd_program("config", "pool", "set", pool, f"rbd_default_stripe_{option}", str(value))
    cluster = CephCluster(settings)
    await create(cluster.pool(pool))
    await cluster.close()
    made = info(ceph, pool, SPEC.name)
    assert (made["stripe_unit"], made["stripe_count"]) == (65536, 4)


async def test_default_data_pool_that_is_missing_is_named(settings: ClusterSettings, ceph: Ceph, pool: str) -> None:
    ceph.rbd_program("config", "pool", "set", pool, "rbd_default_data_pool", "gone")
    cluster = CephCluster(settings)
    with pytest.raises(InvalidArgument, match="rbd_default_data_pool = gone for images of pool"):
        await create(cluster.pool(pool))
    await cluster.close()


async def test_uninitialized_pool_is_prepared_for_snapshots(cluster: CephCluster, ceph: Ceph, raw: str) -> None:
    await create(cluster.pool(raw))
    assert ceph.ceph("osd", "pool", "ls", "detail", "-f", "json").count('"snap_mode":"pool"') == 0
    with pytest.raises(ClusterError, match="unmanaged snaps mode"):
        ceph.ceph("osd", "pool", "mksnap", raw, "whole")
    ceph.rbd_program("snap", "create", f"{raw}/{SPEC.name}@one")
    ceph.rbd_program("create", "--size", "1M", f"{raw}/theirs")


async def test_pool_with_snapshots_of_its_own_is_refused_as_librbd_does(
    cluster: CephCluster, ceph: Ceph, raw: str
) -> None:
    ceph.ceph("osd", "pool", "mksnap", raw, "whole")
    with pytest.raises(ClusterError):
        ceph.rbd_program("create", "--size", "1M", f"{raw}/theirs")
    with pytest.raises(InvalidArgument, match="ceph osd pool mksnap"):
        await create(cluster.pool(raw))
    assert ceph.rbd_program("ls", raw) == ""


async def test_prepared_pool_is_as_librbd_leaves_it(cluster: CephCluster, ceph: Ceph, raw: str) -> None:
    for name in "one", "two":
        await create(cluster.pool(raw), replace(SPEC, name=f"{name}-{SPEC.metadata[OWNER]}", id=name))
    with rados.Rados(conffile=str(ceph.conf)) as direct, direct.open_ioctx(raw) as ioctx:
        assert ioctx.read("rbd_info") == b"overwrite validated"


async def test_image_of_format_1_is_not_removed_as_incomplete(
    cluster: CephCluster, ceph: Ceph, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Librbd's create and its removal of remains both know it by its name."""
    monkeypatch.setenv("RBD_FORCE_ALLOW_V1", "1")
    ceph.rbd_program("create", "--image-format", "1", "--size", "8M", f"{pool}/{SPEC.name}")
    with pytest.raises(ImageTaken, match="format 1"):
        await create(cluster.pool(pool), replace(SPEC, id=None))
    assert info(ceph, pool, SPEC.name)["format"] == 1
