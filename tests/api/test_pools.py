"""Pools through the service, against what Ceph's own tools say."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.client import EDITOR, Api
from tests.cluster import Ceph, wait_for


@pytest.fixture
def new_pool(ceph: Ceph) -> Iterator[str]:
    """A name; the pool is deleted afterwards if it was made."""
    name = f"made-{secrets.token_hex(4)}"
    yield name
    ceph.remove_pool(name)


def names(api: Api) -> list[str]:
    return [pool["name"] for pool in api.get("/pools").json["pools"]]


def test_pools_are_listed_before_and_after_one_is_made_and_deleted(api: Api, pool: str, new_pool: str) -> None:
    assert pool in names(api)
    assert new_pool not in names(api)
    made = api.post("/pools", {"name": new_pool})
    assert made.status == 201
    assert made.headers["Location"] == f"/api/v1/pools/{new_pool}"
    assert new_pool in names(api)
    assert api.delete(f"/pools/{new_pool}?confirm={new_pool}").status == 204
    assert new_pool not in names(api)


def test_new_pool_is_as_asked_for_and_ready_for_images(api: Api, ceph: Ceph, new_pool: str) -> None:
    wanted = {"name": new_pool, "pg_num": 4, "autoscale": "off", "quota": {"bytes": "1Gi", "objects": 1000}}
    made = api.post("/pools", wanted).json
    assert made["pg_num"] == 4
    assert made["quota"] == {"bytes": 2**30, "objects": 1000}
    assert made["applications"] == ["rbd"]
    details = json.loads(ceph.ceph("osd", "pool", "ls", "detail", "-f", "json"))
    quota = next(one for one in details if one["pool_name"] == new_pool)
    assert (quota["quota_max_bytes"], quota["quota_max_objects"]) == (2**30, 1000)
    assert api.post(f"/pools/{new_pool}/images", {"name": "first", "size": "1Mi"}).status == 201


def test_free_space_of_a_new_pool_is_not_measured_rather_than_zero(api: Api, new_pool: str) -> None:
    made = api.post("/pools", {"name": new_pool}).json
    assert made["measured"] == (made["free"] > 0)

    def measured() -> Any:
        shown = api.get(f"/pools/{new_pool}").json
        return shown if shown["measured"] else None

    assert wait_for(measured, "Ceph to have looked at the new pool")["free"] > 0


def test_free_is_no_more_than_the_quota_leaves(api: Api, pool: str) -> None:
    free = wait_for(lambda: api.get(f"/pools/{pool}").json["free"], "Ceph to have looked at the new pool")
    assert free > 8 << 20
    limited = api.patch(f"/pools/{pool}", {"quota": {"bytes": "8Mi"}}).json
    assert limited["stored"] + limited["free"] == 8 << 20
    assert api.patch(f"/pools/{pool}", {"quota": {"bytes": 0}}).json["free"] > 8 << 20


def test_pool_that_exists_is_not_made_again(api: Api, pool: str) -> None:
    refused = api.post("/pools", {"name": pool})
    assert refused.status == 409
    assert refused.json["type"] == "/docs#name-taken"


def test_impossible_pool_is_refused_with_the_monitors_own_words(api: Api) -> None:
    refused = api.post("/pools", {"name": "too-many", "pg_num": 32768})
    assert refused.status == 422
    assert refused.json["errno_name"] == "ERANGE"
    assert "pg_num" in refused.json["detail"]


def test_quota_is_changed_and_removed(api: Api, pool: str) -> None:
    changed = api.patch(f"/pools/{pool}", {"quota": {"bytes": "512Mi", "objects": 5}})
    assert changed.status == 200
    assert changed.json["quota"] == {"bytes": 2**29, "objects": 5}
    assert api.patch(f"/pools/{pool}", {"quota": {"bytes": 0}}).json["quota"] == {"bytes": None, "objects": 5}


def test_pool_with_another_version_is_unchanged(api: Api, pool: str) -> None:
    seen = api.get(f"/pools/{pool}").etag
    assert api.patch(f"/pools/{pool}", {"quota": {"objects": 7}}, headers={"If-Match": seen}).status == 200
    late = api.patch(f"/pools/{pool}", {"quota": {"objects": 9}}, headers={"If-Match": seen})
    assert late.status == 412
    assert api.get(f"/pools/{pool}").json["quota"]["objects"] == 7
    assert api.delete(f"/pools/{pool}?confirm={pool}", headers={"If-Match": seen}).status == 412


def test_pool_with_images_is_kept_and_the_refusal_names_them(api: Api, ceph: Ceph, pool: str) -> None:
    ceph.rbd("namespace", "create", f"{pool}/team")
    for image in ("one", "two"):
        ceph.rbd("create", "--size", "1M", f"{pool}/{image}")
    ceph.rbd("create", "--size", "1M", f"{pool}/team/three")
    refused = api.delete(f"/pools/{pool}?confirm={pool}")
    assert refused.status == 409
    assert refused.json["images"] == ["one", "two", "team/three"]
    assert pool in names(api)


def test_pool_with_something_in_its_trash_is_kept(api: Api, ceph: Ceph, pool: str) -> None:
    ceph.rbd("create", "--size", "1M", f"{pool}/thrown")
    ceph.rbd("trash", "mv", f"{pool}/thrown")
    refused = api.delete(f"/pools/{pool}?confirm={pool}")
    assert (refused.status, "in the trash: 1" in refused.json["detail"]) == (409, True)


def test_pool_with_images_is_deleted_only_by_force(api: Api, new_pool: str) -> None:
    api.post("/pools", {"name": new_pool})
    api.post(f"/pools/{new_pool}/images", {"name": "inside", "size": "1Mi"})
    assert api.delete(f"/pools/{new_pool}?confirm={new_pool}&force=true").status == 204
    assert new_pool not in names(api)


@pytest.mark.parametrize("confirm", ["", "?confirm=another"])
def test_pool_is_deleted_only_with_confirmation(api: Api, pool: str, confirm: str) -> None:
    refused = api.delete(f"/pools/{pool}{confirm}")
    assert refused.status == 422
    assert "confirm" in refused.json["detail"]
    assert pool in names(api)


def test_pool_that_does_not_exist_is_not_found(api: Api) -> None:
    assert api.get("/pools/nowhere").status == 404
    assert api.get("/pools/nowhere/images").status == 404
    assert api.delete("/pools/nowhere?confirm=nowhere").status == 404


def test_editor_makes_and_deletes_no_pools(api: Api, pool: str) -> None:
    editor = api.as_(EDITOR)
    assert editor.post("/pools", {"name": "mine"}).status == 403
    assert editor.delete(f"/pools/{pool}?confirm={pool}").status == 403
    assert pool in names(api)
