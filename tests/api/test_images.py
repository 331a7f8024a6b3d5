"""Images through the service, against what Ceph's own tools say."""

import json
from typing import Any
from urllib.parse import quote

import pytest
import rbd

from tests.api.client import EDITOR, VIEWER, Api
from tests.cluster import Ceph


def make(api: Api, pool: str, name: str, **more: Any) -> dict[str, Any]:
    made = api.post(f"/pools/{pool}/images", {"name": name, "size": "8Mi", **more})
    assert made.status == 201, made.text
    shown: dict[str, Any] = made.json
    return shown


def names(api: Api, pool: str) -> list[str]:
    return [image["name"] for image in api.get(f"/pools/{pool}/images").json["images"]]


def info(ceph: Ceph, image: str) -> Any:
    return json.loads(ceph.rbd_program("info", "--format", "json", image))


def give_to_claim(ceph: Ceph, image: str) -> None:
    for key, value in (("pvc/name", "data"), ("pvc/namespace", "shop"), ("pv/name", "pvc-1")):
        ceph.rbd("image-meta", "set", image, f"csi.storage.k8s.io/{key}", value)


def test_image_is_created_listed_and_removed(api: Api, pool: str) -> None:
    assert names(api, pool) == []
    make(api, pool, "go-ceph-image", size=1 << 20, order=20)
    assert names(api, pool) == ["go-ceph-image"]
    assert api.delete(f"/pools/{pool}/images/go-ceph-image").status == 204
    assert names(api, pool) == []


def test_image_is_created_as_requested(api: Api, ceph: Ceph, pool: str) -> None:
    layout = {"object_size": 65536, "features": ["layering", "exclusive-lock"], "stripe_unit": 4096, "stripe_count": 8}
    made = make(api, pool, "striped", size="1.5Mi", **layout)
    truth = info(ceph, f"{pool}/striped")
    assert made["size"] == truth["size"] == 1536 * 1024
    assert made["size_quantity"] == "1536Ki"
    assert made["order"] == truth["order"] == 16
    assert set(truth["features"]) == {"layering", "exclusive-lock", "striping"} == set(made["features"])
    assert (truth["stripe_unit"], truth["stripe_count"]) == (4096, 8) == (made["stripe_unit"], made["stripe_count"])
    assert made["id"] == truth["id"]


def test_data_can_be_in_another_pool(api: Api, ceph: Ceph, pool: str) -> None:
    data = ceph.pool(f"{pool}-data")
    try:
        assert make(api, pool, "split", data_pool=data)["data_pool"] == data
        assert info(ceph, f"{pool}/split")["data_pool"] == data
        assert api.get(f"/pools/{pool}/images").json["images"][0]["data_pool"] == data
    finally:
        ceph.remove_pool(data)


def test_missing_data_pool_is_reported_as_missing(api: Api, pool: str) -> None:
    refused = api.post(f"/pools/{pool}/images", {"name": "split", "size": "1Mi", "data_pool": "nowhere"})
    assert refused.status == 422
    assert "pool nowhere does not exist" in refused.json["detail"]
    assert names(api, pool) == []


def test_object_order_out_of_range_is_explained(api: Api, pool: str) -> None:
    refused = api.post(f"/pools/{pool}/images", {"name": "puzzle", "size": 1 << 10, "order": 10})
    assert refused.status == 422
    assert (refused.json["errno"], refused.json["errno_name"]) == (33, "EDOM")
    assert "12 to 25" in refused.json["accepted"]
    assert refused.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["a@b", "a/b", "", "-x", ".x", "x" * 129, "tab\t", "ä"])
def test_name_that_tools_cannot_address_is_rejected(api: Api, pool: str, name: str) -> None:
    assert api.post(f"/pools/{pool}/images", {"name": name, "size": "1Mi"}).status == 422
    make(api, pool, "good")
    assert api.patch(f"/pools/{pool}/images/good", {"name": name}).status == 422
    assert names(api, pool) == ["good"]


def test_image_with_a_name_that_tools_cannot_address_can_be_read_and_deleted(api: Api, pool: str, ioctx: Any) -> None:
    for name in ("a@b", "c/d", "ü"):
        rbd.RBD().create(ioctx, name, 1 << 20)
    assert names(api, pool) == ["a@b", "c/d", "ü"]
    for name in ("a@b", "c/d", "ü"):
        path = f"/pools/{pool}/images/{quote(name, safe='')}"
        assert api.get(path).json["name"] == name
        assert api.delete(path).status == 204
    assert names(api, pool) == []


@pytest.mark.parametrize(
    "size", [0, 1, -1, 511, "0", "1Zi", "9223372036854775807", "8Ei", "1 Gi", "", "ten", 1.5, True, None]
)
def test_impossible_size_is_refused(api: Api, pool: str, size: object) -> None:
    refused = api.post(f"/pools/{pool}/images", {"name": "sized", "size": size})
    assert refused.status == 422, refused.text
    assert refused.json["errors"][0]["where"] == "body/size"


def test_all_errors_are_listed_at_once(api: Api, pool: str) -> None:
    wrong = {"name": "a/b", "size": 0, "order": 99, "features": ["fast"], "colour": "red"}
    refused = api.post(f"/pools/{pool}/images", wrong)
    places = {one["where"] for one in refused.json["errors"]}
    assert places == {"body/name", "body/size", "body/order", "body/features/0", "body/colour"}


@pytest.mark.parametrize(
    "layout",
    [
        {"features": ["fast-diff"]},
        {"order": 20, "object_size": 1 << 20},
        {"stripe_unit": 4096},
        {"stripe_unit": 1 << 23, "stripe_count": 2},
        {"object_size": 4097},
        {"size": "900Ti", "order": 12},
    ],
)
def test_parameters_that_do_not_fit_together_are_refused(api: Api, pool: str, layout: dict[str, Any]) -> None:
    assert api.post(f"/pools/{pool}/images", {"name": "odd", "size": "8Mi", **layout}).status == 422
    assert names(api, pool) == []


def test_pages_hold_every_image_once_in_order(api: Api, ioctx: Any, pool: str) -> None:
    wanted = sorted(f"image-{number}" for number in range(23))
    for name in reversed(wanted):
        rbd.RBD().create(ioctx, name, 1 << 20)
    pages = list(api.pages(f"/pools/{pool}/images", limit=5))
    assert [len(page["images"]) for page in pages] == [5, 5, 5, 5, 3]
    assert [image["name"] for page in pages for image in page["images"]] == wanted


def test_prefix_filters_and_pages(api: Api, ioctx: Any, pool: str) -> None:
    for name in ("a", "ab", "ab1", "ab2", "ab3", "ac", "b"):
        rbd.RBD().create(ioctx, name, 1 << 20)
    pages = list(api.pages(f"/pools/{pool}/images?prefix=ab", limit=3))
    assert [[image["name"] for image in page["images"]] for page in pages] == [["ab", "ab1", "ab2"], ["ab3"]]


def test_next_page_is_linked(api: Api, pool: str) -> None:
    for name in ("a", "b", "c"):
        make(api, pool, name)
    link = api.get(f"/pools/{pool}/images?limit=2").headers["Link"]
    path = link.partition(">")[0].removeprefix("</api/v1")
    assert link.endswith('rel="next"')
    assert [image["name"] for image in api.get(path).json["images"]] == ["c"]


def test_invalid_cursor_is_rejected(api: Api, pool: str) -> None:
    assert api.get(f"/pools/{pool}/images?cursor=%FF%FE").status == 422
    assert api.get(f"/pools/{pool}/images?cursor=*").status == 422


def test_used_is_what_ceph_counts(api: Api, ceph: Ceph, pool: str) -> None:
    make(api, pool, "filled", size="64Mi")
    make(api, pool, "uncounted", features=["layering"])
    ceph.rbd(
        "bench", "--io-type", "write", "--io-size", "4K", "--io-total", "400K", "--io-pattern", "rand", f"{pool}/filled"
    )
    truth = json.loads(ceph.rbd("du", "--format", "json", f"{pool}/filled"))["images"][0]["used_size"]
    listed = {image["name"]: image["used"] for image in api.get(f"/pools/{pool}/images").json["images"]}
    assert listed == {"filled": truth, "uncounted": None}
    assert truth > 0
    assert api.get(f"/pools/{pool}/images/filled").json["used"] == truth


def test_image_is_grown_and_shrunk_only_with_shrink(api: Api, ceph: Ceph, pool: str) -> None:
    make(api, pool, "elastic")
    path = f"/pools/{pool}/images/elastic"
    assert api.patch(path, {"size": "16Mi"}).json["size"] == 16 << 20
    refused = api.patch(path, {"size": "4Mi"})
    assert refused.status == 422
    assert '"shrink": true' in refused.json["detail"]
    assert info(ceph, f"{pool}/elastic")["size"] == 16 << 20
    assert api.patch(path, {"size": "4Mi", "shrink": True}).json["size"] == 4 << 20
    assert info(ceph, f"{pool}/elastic")["size"] == 4 << 20
    assert api.patch(path, {"size": "8Mi", "shrink": True}).status == 422


def test_image_is_renamed(api: Api, pool: str) -> None:
    make(api, pool, "before")
    make(api, pool, "other")
    renamed = api.patch(f"/pools/{pool}/images/before", {"name": "after", "size": "16Mi"})
    assert (renamed.status, renamed.json["name"], renamed.json["size"]) == (200, "after", 16 << 20)
    assert names(api, pool) == ["after", "other"]
    taken = api.patch(f"/pools/{pool}/images/after", {"name": "other", "size": "32Mi"})
    assert taken.status == 409
    assert api.get(f"/pools/{pool}/images/after").json["size"] == 16 << 20, "refused changes must change nothing"


def test_version_guards_every_change(api: Api, ceph: Ceph, pool: str) -> None:
    make(api, pool, "guarded")
    path = f"/pools/{pool}/images/guarded"
    seen = api.get(path).etag
    ceph.rbd("resize", "--size", "32M", f"{pool}/guarded")
    stale = {"If-Match": seen}
    for refused in (
        api.patch(path, {"size": "64Mi"}, headers=stale),
        api.patch(path, {"name": "other"}, headers=stale),
        api.patch(path, {"size": "1Mi", "shrink": True}, headers=stale),
        api.post(f"{path}/snapshots", {"name": "snap"}, headers=stale),
        api.delete(path, headers=stale),
        api.delete(f"{path}?trash=true", headers=stale),
    ):
        assert refused.status == 412
        assert refused.headers["ETag"] == api.get(path).etag
    assert api.patch(path, {"size": "64Mi"}, headers={"If-Match": api.get(path).etag}).status == 200
    assert api.delete(path, headers={"If-Match": "*"}).status == 204


def test_version_does_not_change_by_reading(api: Api, pool: str) -> None:
    make(api, pool, "still")
    listed = api.get(f"/pools/{pool}/images").json["images"][0]["version"]
    assert api.get(f"/pools/{pool}/images/still").etag == f'"{listed}"' == api.get(f"/pools/{pool}/images/still").etag


def test_image_of_a_claim_is_shown_with_it_and_protected(api: Api, ceph: Ceph, pool: str) -> None:
    make(api, pool, "owned")
    give_to_claim(ceph, f"{pool}/owned")
    path = f"/pools/{pool}/images/owned"
    claim = {"namespace": "shop", "name": "data", "volume": "pvc-1", "uid": None}
    assert api.get(f"/pools/{pool}/images").json["images"][0]["claim"] == claim
    for refused in (
        api.patch(path, {"size": "64Mi"}),
        api.patch(path, {"name": "mine"}),
        api.delete(path),
        api.delete(f"{path}?trash=true"),
    ):
        assert refused.status == 409
        assert "shop/data" in refused.json["detail"]
    assert api.as_(EDITOR).delete(f"{path}?force=true").status == 403
    assert names(api, pool) == ["owned"]
    assert api.patch(f"{path}?force=true", {"size": "16Mi"}).status == 200
    assert api.delete(f"{path}?force=true").status == 204


def test_image_in_use_is_kept_and_its_watchers_are_named(api: Api, ioctx: Any, pool: str) -> None:
    make(api, pool, "watched")
    path = f"/pools/{pool}/images/watched"
    with rbd.Image(ioctx, "watched"):
        shown = api.get(path).json
        assert len(shown["watchers"]) == 1
        for refused in (api.delete(path), api.delete(f"{path}?trash=true"), api.patch(path, {"name": "new"})):
            assert refused.status == 409
            assert shown["watchers"][0] in refused.json["detail"]
    assert api.delete(path).status == 204


def test_images_of_a_namespace_are_apart(api: Api, ceph: Ceph, pool: str) -> None:
    ceph.rbd("namespace", "create", f"{pool}/team")
    made = api.post(f"/pools/{pool}/images?namespace=team", {"name": "theirs", "size": "1Mi"})
    assert made.headers["Location"] == f"/api/v1/pools/{pool}/images/theirs?namespace=team"
    assert names(api, pool) == []
    assert api.get(f"/pools/{pool}/images?namespace=team").json["images"][0]["namespace"] == "team"
    assert api.get(f"/pools/{pool}/images?namespace=missing").status == 404
    assert api.delete(f"/pools/{pool}/images/theirs?namespace=team").status == 204


def test_viewer_sees_and_changes_nothing(api: Api, pool: str) -> None:
    make(api, pool, "seen")
    viewer = api.as_(VIEWER)
    path = f"/pools/{pool}/images/seen"
    assert viewer.get(path).status == 200
    for refused in (
        viewer.post(f"/pools/{pool}/images", {"name": "x", "size": "1Mi"}),
        viewer.patch(path, {"size": "64Mi"}),
        viewer.delete(path),
        viewer.post(f"{path}/snapshots", {"name": "x"}),
    ):
        assert refused.status == 403
    assert api.get(path).json["size"] == 8 << 20


def test_minimal_response_has_the_location_only(api: Api, pool: str) -> None:
    wanted = {"name": "brief", "size": "8Mi"}
    made = api.post(f"/pools/{pool}/images", wanted, headers={"Prefer": "return=minimal"})
    assert (made.status, made.text) == (201, "")
    path = made.headers["Location"].removeprefix("/api/v1")
    assert api.get(path).json["size"] == 8 << 20


@pytest.mark.parametrize("left", [["object_map", "id"], ["id"], []], ids=["all", "name", "directory"])
def test_incomplete_image_is_shown_created_again_and_deleted(
    api: Api, ceph: Ceph, pool: str, ioctx: Any, left: list[str]
) -> None:
    """A name in the directory without a header: what a creation leaves that was killed at the wrong moment."""
    for again in (True, False):
        made = make(api, pool, "half")
        objects = {"object_map": f"rbd_object_map.{made['id']}", "id": "rbd_id.half"}
        for gone in (f"rbd_header.{made['id']}", *(objects[part] for part in objects if part not in left)):
            ioctx.remove_object(gone)
        (listed,) = api.get(f"/pools/{pool}/images").json["images"]
        assert (listed["size"], "was interrupted" in listed["unfinished"]) == (None, True)
        assert api.get(f"/pools/{pool}/images/half").status == 404
        if again:
            assert make(api, pool, "half")["size"] == 8 << 20
            assert info(ceph, f"{pool}/half")["size"] == 8 << 20
        assert api.delete(f"/pools/{pool}/images/half").status == 204
        assert names(api, pool) == []


@pytest.fixture
def old(ceph: Ceph, pool: str, ioctx: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """An image of format 1, with data."""
    monkeypatch.setenv("RBD_FORCE_ALLOW_V1", "1")
    ceph.rbd("create", "--image-format", "1", "--size", "8M", f"{pool}/old")
    with rbd.Image(ioctx, "old") as image:
        image.write(b"kept", 0)
    return "old"


# The second one is made by librbd itself, whose refusal must not be taken for remains to be removed.
@pytest.mark.parametrize("more", [{}, {"stripe_unit": 4096, "stripe_count": 2}])
def test_image_of_the_old_format_has_its_name_and_its_data(
    api: Api, pool: str, ioctx: Any, old: str, more: dict[str, int]
) -> None:
    refused = api.post(f"/pools/{pool}/images", {"name": old, "size": "16Mi", **more})
    assert (refused.status, refused.json["type"]) == (409, "/docs#name-taken")
    assert "format 1" in refused.json["detail"]
    with rbd.Image(ioctx, old) as image:
        assert (image.size(), image.old_format(), image.read(0, 4)) == (8 << 20, True, b"kept")


def test_old_image_is_not_hidden_by_renaming_restoring_or_cloning(api: Api, pool: str, ioctx: Any, old: str) -> None:
    for name in "other", "thrown":
        assert api.post(f"/pools/{pool}/images", {"name": name, "size": "1Mi"}).status == 201
    assert api.post(f"/pools/{pool}/images/other/snapshots", {"name": "s"}).status == 201
    assert api.delete(f"/pools/{pool}/images/thrown?trash=true").status == 204
    (entry,) = api.get(f"/pools/{pool}/trash").json["entries"]
    answers = [
        api.patch(f"/pools/{pool}/images/other", {"name": old}),
        api.post(f"/pools/{pool}/trash/{entry['id']}/restore", {"name": old}),
        api.post(f"/pools/{pool}/images/other/snapshots/s/clone", {"name": old}),
    ]
    assert [answer.status for answer in answers] == [409, 409, 409], answers[-1].text
    with rbd.Image(ioctx, old) as image:
        assert image.old_format()


@pytest.mark.parametrize(
    "query",
    ["prefix=%00zzz", "prefix=a%00", "prefix=%1f", "prefix=%7f", "cursor=AHp6eg", "namespace=%00", "prefix=a%0Ab"],
)
def test_text_that_would_end_early_is_refused(api: Api, pool: str, ioctx: Any, query: str) -> None:
    rbd.RBD().create(ioctx, "anything", 1 << 20, old_format=False, features=1)
    refused = api.get(f"/pools/{pool}/images?{query}")
    assert refused.status == 422, refused.text
    assert query.partition("=")[0] in refused.json["errors"][0]["where"]


def test_units_of_other_tools_are_answered_with_what_was_meant(api: Api, pool: str) -> None:
    refused = api.post(f"/pools/{pool}/images", {"name": "a", "size": "10GiB"})
    assert (refused.status, "did you mean 10Gi?" in refused.json["detail"]) == (422, True)


def test_mirrored_image_that_is_not_primary_is_never_changed_and_the_way_out_is_named(
    api: Api, pool: str, ceph: Ceph
) -> None:
    path = f"/pools/{pool}/images/image"
    api.post(f"/pools/{pool}/images", {"name": "image", "size": "8Mi"})
    api.post(f"{path}/snapshots", {"name": "before"})
    ceph.rbd("mirror", "pool", "enable", pool, "image")
    ceph.rbd("mirror", "image", "enable", f"{pool}/image", "snapshot")
    ceph.rbd("mirror", "image", "demote", f"{pool}/image")
    tried = {
        "grow": api.patch(path, {"size": "16Mi"}),
        "shrink": api.patch(path, {"size": "4Mi", "shrink": True}),
        "snapshot": api.post(f"{path}/snapshots", {"name": "monday"}),
        "protect": api.patch(f"{path}/snapshots/before", {"protected": True}),
        "delete snapshot": api.delete(f"{path}/snapshots/before"),
        "roll back": api.post(f"{path}/snapshots/before/rollback", {}),
        "delete": api.delete(path),
        "trash": api.delete(f"{path}?trash=true"),
    }
    out = f"rbd mirror image promote --force {pool}/image"
    assert {what: (reply.status, out in reply.text) for what, reply in tried.items()} == dict.fromkeys(
        tried, (409, True)
    )
    now = api.get(path).json
    assert (now["size"], [one["name"] for one in now["snapshots"]], now["unfinished"]) == (8 << 20, ["before"], None)
