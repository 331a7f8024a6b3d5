"""Operations are accepted, polled and cancelled, and their state is true after a crash."""

from typing import Any

import pytest
import rbd

from tests.api.client import AT_ONCE, EDITOR, VIEWER, Api, Reply
from tests.api.conftest import Service
from tests.cluster import wait_for


@pytest.fixture
def large(pool: str, ioctx: Any) -> str:
    """An image whose removal takes seconds: librbd asks for 2^14 objects, since it has a journal."""
    rbd.RBD().create(ioctx, "large", 1 << 36, old_format=False, features=69)
    return f"/pools/{pool}/images/large"


def test_long_removal_is_accepted_and_can_be_followed(api: Api, large: str) -> None:
    accepted = api.delete(large, headers=AT_ONCE)
    assert accepted.json["state"] == "running"
    assert accepted.json["cancellable"] is True
    operation = accepted.headers["Location"].removeprefix("/api/v1")

    def under_way() -> float | None:
        progress: float | None = api.get(operation).json["progress"]
        return progress if progress and progress < 1 else None

    first = wait_for(under_way, "progress to be shown")
    assert wait_for(lambda: (p := under_way()) and p > first and p, "progress to go on")
    (entry,) = api.get(large.replace("images/large", "trash")).json["entries"]
    assert entry["unfinished"] == f"operation {accepted.json['id']} is running"
    ended = api.finished(accepted)
    assert (ended["state"], ended["progress"], ended["by"]) == ("succeeded", 1.0, "ada")
    assert api.get(large).status == 404
    listed = api.get("/operations").json["operations"]
    assert ended["id"] in [one["id"] for one in listed]


def test_image_under_removal_is_locked_for_other_changes(api: Api, large: str, pool: str) -> None:
    accepted = api.delete(large, headers=AT_ONCE)
    again = api.post(f"/pools/{pool}/images", {"name": "large", "size": "1Mi"})
    for refused in (
        again,
        api.delete(large),
        api.patch(large, {"name": "x"}),
        api.post(f"{large}/snapshots", {"name": "x"}),
    ):
        assert refused.status == 409
        assert refused.json["operation"] == accepted.headers["Location"]
    api.delete(accepted.headers["Location"].removeprefix("/api/v1"))
    api.finished(accepted)


def test_cancelled_removal_leaves_a_marked_image_in_the_trash(api: Api, large: str, pool: str) -> None:
    accepted = api.delete(large, headers=AT_ONCE)
    operation = accepted.headers["Location"].removeprefix("/api/v1")
    wait_for(lambda: api.get(operation).json["progress"], "progress")
    assert api.as_(VIEWER).delete(operation).status == 403
    assert api.as_(EDITOR).delete(operation).status == 202
    ended = api.finished(accepted)
    assert (ended["state"], ended["status"]) == ("cancelled", 409)
    assert 0 < ended["progress"] < 1
    assert api.delete(operation).status == 409, "it has ended"
    purge_the_rest(api, pool)


def purge_the_rest(api: Api, pool: str) -> None:
    assert api.get(f"/pools/{pool}/images").json["images"] == []
    (rest,) = api.get(f"/pools/{pool}/trash").json["entries"]
    assert rest["name"] == "large"
    assert "some of its data is lost" in rest["unfinished"]
    path = f"/pools/{pool}/trash/{rest['id']}"
    assert api.post(f"{path}/restore", {}).status == 409

    # Ceph takes a killed client for alive for 30 seconds.
    def purging() -> Reply | None:
        answer = api.delete(path, headers=AT_ONCE)
        return answer if answer.status == 202 else None

    accepted = wait_for(purging, "Ceph to let go")
    assert api.finished(accepted)["state"] == "succeeded"
    assert api.get(f"/pools/{pool}/trash").json["entries"] == []


def test_flatten_is_cancelled_without_harm(api: Api, pool: str, ioctx: Any) -> None:
    librbd = rbd.RBD()
    librbd.create(ioctx, "parent", 1 << 36, old_format=False, features=1)
    with rbd.Image(ioctx, "parent") as opened:
        opened.write(b"a", 0)
        opened.create_snap("first")
        opened.protect_snap("first")
    librbd.clone(ioctx, "parent", "first", ioctx, "child", features=1)
    accepted = api.post(f"/pools/{pool}/images/child/flatten", headers=AT_ONCE)
    operation = accepted.headers["Location"].removeprefix("/api/v1")
    wait_for(lambda: api.get(operation).json["progress"], "progress")
    assert api.delete(operation).status == 202
    assert api.finished(accepted)["state"] == "cancelled"
    shown = api.get(f"/pools/{pool}/images/child").json
    assert (shown["is_clone"], shown["unfinished"]) == (True, None)


def test_short_work_is_answered_without_an_operation(api: Api, pool: str) -> None:
    api.post(f"/pools/{pool}/images", {"name": "small", "size": "1Mi"})
    assert api.delete(f"/pools/{pool}/images/small", headers={"Prefer": "wait=20"}).status == 204


@pytest.mark.parametrize(
    "identifier", ["nothing", "WyJhIl0", "WyJyZW1vdmUiLCJub3doZXJlIiwiIiwieCIsIjEiLDEsIngiXQ", "-_-"]
)
def test_unknown_operation_is_not_found(api: Api, identifier: str) -> None:
    assert api.get(f"/operations/{identifier}").status == 404
    assert api.delete(f"/operations/{identifier}").status == 404


def test_restarted_service_reports_the_true_state_of_operations(
    service: Service, api: Api, large: str, pool: str
) -> None:
    killed_while_removing(service, api, large)
    assert api.get(f"/pools/{pool}/images").json["images"] == []
    (rest,) = api.get(f"/pools/{pool}/trash").json["entries"]
    assert (rest["name"], "purge it" in rest["unfinished"]) == ("large", True)


@pytest.mark.long
def test_image_left_by_a_killed_service_can_be_purged(service: Service, api: Api, large: str, pool: str) -> None:
    operation = killed_while_removing(service, api, large)
    purge_the_rest(api, pool)
    assert api.get(operation).json["state"] == "succeeded", "the image it was about is gone"


def killed_while_removing(service: Service, api: Api, large: str) -> str:
    """The path of the operation, which tells what became of it."""
    accepted = api.delete(large, headers=AT_ONCE)
    operation = accepted.headers["Location"].removeprefix("/api/v1")
    wait_for(lambda: api.get(operation).json["progress"], "progress")
    service.process.restart()
    recalled = api.get(operation)
    assert (recalled.status, recalled.json["state"], recalled.json["image"]) == (200, "interrupted", "large")
    assert "purge it" in recalled.json["detail"]
    return operation
