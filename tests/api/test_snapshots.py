"""Snapshots and clones through the service, against librbd's own view."""

from typing import Any

import pytest
import rbd

from tests.api.client import ADMIN, Api
from tests.cluster import Ceph


@pytest.fixture
def image(api: Api, pool: str) -> str:
    """The path of an image with a snapshot `first`, taken when it held the letter a."""
    path = f"/pools/{pool}/images/parent"
    assert api.post(f"/pools/{pool}/images", {"name": "parent", "size": "8Mi"}).status == 201
    return path


def write(ioctx: Any, name: str, data: bytes) -> None:
    with rbd.Image(ioctx, name) as opened:
        opened.write(data, 0)


def read(ioctx: Any, name: str, length: int = 1) -> bytes:
    with rbd.Image(ioctx, name, read_only=True) as opened:
        data: bytes = opened.read(0, length)
        return data


def test_snapshot_is_made_shown_and_deleted(api: Api, image: str) -> None:
    made = api.post(f"{image}/snapshots", {"name": "first"})
    assert (made.status, made.json["name"], made.json["size"]) == (201, "first", 8 << 20)
    assert made.headers["Location"] == f"/api/v1{image}/snapshots/first"
    assert [one["name"] for one in api.get(f"{image}/snapshots").json["snapshots"]] == ["first"]
    assert api.get(image).json["snapshots"] == [made.json]
    assert api.post(f"{image}/snapshots", {"name": "first"}).status == 409
    assert api.delete(f"{image}/snapshots/first").status == 204
    assert api.get(f"{image}/snapshots/first").status == 404
    assert api.delete(f"{image}/snapshots/first").status == 404


def test_image_with_snapshots_is_kept_at_once_and_in_the_trash(api: Api, image: str) -> None:
    api.post(f"{image}/snapshots", {"name": "first"})
    for refused in (api.delete(image), api.delete(f"{image}?trash=true")):
        assert refused.status == 409
        assert "first" in refused.json["detail"]


def test_protected_snapshot_is_kept(api: Api, image: str) -> None:
    api.post(f"{image}/snapshots", {"name": "first"})
    snapshot = f"{image}/snapshots/first"
    assert api.patch(snapshot, {"protected": True}).json["protected"] is True
    assert api.patch(snapshot, {"protected": True}).status == 200
    refused = api.delete(snapshot)
    assert (refused.status, "protected" in refused.json["detail"]) == (409, True)
    assert api.patch(snapshot, {"protected": False}).json["protected"] is False
    assert api.delete(snapshot).status == 204


def test_rollback_restores_the_data(api: Api, image: str, ioctx: Any) -> None:
    write(ioctx, "parent", b"a")
    api.post(f"{image}/snapshots", {"name": "first"})
    write(ioctx, "parent", b"b")
    rolled = api.post(f"{image}/snapshots/first/rollback")
    assert rolled.status == 200, rolled.text
    assert read(ioctx, "parent") == b"a"
    assert rolled.json["unfinished"] is None
    assert rolled.json["metadata"] == {}


def test_rollback_of_an_image_in_use_is_refused(api: Api, image: str, ioctx: Any) -> None:
    api.post(f"{image}/snapshots", {"name": "first"})
    with rbd.Image(ioctx, "parent"):
        assert api.post(f"{image}/snapshots/first/rollback").status == 409


def test_clone_shares_data_and_is_flattened(api: Api, image: str, pool: str, ioctx: Any) -> None:
    write(ioctx, "parent", b"a")
    api.post(f"{image}/snapshots", {"name": "first"})
    cloned = api.post(f"{image}/snapshots/first/clone", {"name": "child", "features": ["layering"]})
    assert cloned.status == 201, cloned.text
    assert cloned.json["parent"] == f"{pool}/parent@first"
    assert read(ioctx, "child") == b"a"
    assert api.get(f"{image}/snapshots/first").json["children"] == [f"{pool}/child"]
    for refused in (
        api.delete(f"{image}/snapshots/first"),
        api.patch(f"{image}/snapshots/first", {"protected": False}),
    ):
        assert refused.status == 409
        assert f"{pool}/child" in refused.json["detail"]
    assert f"{pool}/child" in api.delete(image).json["detail"]
    flat = api.post(f"/pools/{pool}/images/child/flatten")
    assert flat.status == 200, flat.text
    assert (flat.json["parent"], flat.json["is_clone"]) == (None, False)
    assert read(ioctx, "child") == b"a"
    assert api.post(f"/pools/{pool}/images/child/flatten").status == 422


def test_rejections_name_a_clone_in_the_trash(api: Api, image: str, pool: str) -> None:
    api.post(f"{image}/snapshots", {"name": "first"})
    api.post(f"{image}/snapshots/first/clone", {"name": "child"})
    assert api.delete(f"/pools/{pool}/images/child?trash=true").status == 204
    for of in (image, f"{image}/snapshots/first"):
        refused = api.delete(of)
        assert (refused.status, f"{pool}/child (in the trash)" in refused.json["detail"]) == (409, True), refused.text


def test_clone_can_be_in_another_pool(api: Api, image: str, pool: str, direct: Any) -> None:
    direct.create_pool(f"{pool}-b")
    try:
        with direct.open_ioctx(f"{pool}-b") as other:
            rbd.RBD().pool_init(other, False)
        api.post(f"{image}/snapshots", {"name": "first"})
        body = {"name": "child", "pool": f"{pool}-b"}
        cloned = api.post(f"{image}/snapshots/first/clone", body)
        assert cloned.status == 201, cloned.text
        assert cloned.headers["Location"] == f"/api/v1/pools/{pool}-b/images/child"
        assert api.get(f"{image}/snapshots/first").json["children"] == [f"{pool}-b/child"]
    finally:
        direct.delete_pool(f"{pool}-b")


def test_clone_that_old_clients_could_not_read_is_refused_with_the_way_out(api: Api, image: str, ioctx: Any) -> None:
    rbd.RBD().namespace_create(ioctx, "team")
    api.post(f"{image}/snapshots", {"name": "first"})
    refused = api.post(f"{image}/snapshots/first/clone", {"name": "child", "namespace": "team"})
    assert (refused.status, refused.json["errno_name"]) == (422, "EXDEV")
    assert "require-min-compat-client" in refused.json["detail"]


def test_clone_into_a_missing_pool_is_explained(api: Api, image: str, pool: str) -> None:
    api.post(f"{image}/snapshots", {"name": "first"})
    clone = f"{image}/snapshots/first/clone"
    assert "pool nowhere does not exist" in api.post(clone, {"name": "child", "pool": "nowhere"}).json["detail"]
    assert api.post(clone, {"name": "child", "namespace": "missing"}).status == 422
    assert api.post(clone, {"name": "parent"}).status == 409
    assert api.post(f"{image}/snapshots/second/clone", {"name": "child"}).status == 404
    assert [one["name"] for one in api.get(f"/pools/{pool}/images").json["images"]] == ["parent"]


def test_snapshots_of_a_claims_image_are_made_without_force_and_rolled_back_only_with_it(
    api: Api, image: str, ioctx: Any
) -> None:
    with rbd.Image(ioctx, "parent") as opened:
        opened.metadata_set("csi.storage.k8s.io/pvc/name", "data")
    assert api.as_(ADMIN).post(f"{image}/snapshots", {"name": "first"}).status == 201
    assert api.post(f"{image}/snapshots/first/rollback").status == 409
    assert api.post(f"{image}/snapshots/first/rollback?force=true").status == 200


def test_snapshots_of_other_kinds_are_shown_as_what_they_are(api: Api, ceph: Ceph, pool: str) -> None:
    for name in "mirrored", "member":
        ceph.rbd("create", "--size", "1M", f"{pool}/{name}")
    ceph.rbd("mirror", "pool", "enable", pool, "image")
    ceph.rbd("mirror", "image", "enable", f"{pool}/mirrored", "snapshot")
    ceph.rbd("group", "create", f"{pool}/group")
    ceph.rbd("group", "image", "add", f"{pool}/group", f"{pool}/member")
    ceph.rbd("group", "snap", "create", f"{pool}/group@all")
    for name, kind in (("mirrored", "mirror"), ("member", "group")):
        shown = api.get(f"/pools/{pool}/images/{name}").json
        assert (shown["snapshot_count"], shown["snapshots"]) == (1, [])
        assert [one["kind"] for one in shown["other_snapshots"]] == [kind]
        mirrored = {"mode": "snapshot", "state": "enabled", "primary": True} if kind == "mirror" else None
        assert shown["mirroring"] == mirrored
    ceph.rbd("mirror", "image", "demote", f"{pool}/mirrored")
    assert api.get(f"/pools/{pool}/images/mirrored").json["mirroring"]["primary"] is False
