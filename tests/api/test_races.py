"""Clients with conflicting requests at the same time: one succeeds, the others get an error, nothing is incomplete."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from threading import Barrier, Event, Thread
from typing import Any

import pytest
import rbd

from tests.api.client import Api, Reply
from tests.cluster import Ceph

CLIENTS = 8


def at_once(*asks: Callable[[], Reply]) -> list[Reply]:
    """All at the same time. Not in an executor, whose end waits for a call of librbd's that never comes back."""
    start = Barrier(len(asks))
    answers = [Future[Reply]() for _ in asks]

    def run(ask: Callable[[], Reply], answer: "Future[Reply]") -> None:
        try:
            start.wait(30)
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - every error belongs to the test
            answer.set_exception(error)

    for both in zip(asks, answers, strict=True):
        Thread(target=run, args=both, daemon=True).start()
    return [answer.result(timeout=90) for answer in answers]


def statuses(replies: list[Reply]) -> Counter[int]:
    return Counter(reply.status for reply in replies)


def test_one_of_many_creates_the_image(api: Api, pool: str) -> None:
    for round_ in range(5):
        sizes = [(number + 1) << 20 for number in range(CLIENTS)]

        def create(size: int, name: str = f"image-{round_}") -> Reply:
            return api.post(f"/pools/{pool}/images", {"name": name, "size": size})

        replies = at_once(*(lambda size=size: create(size) for size in sizes))
        assert statuses(replies) == {201: 1, 409: CLIENTS - 1}
        winner = next(reply for reply in replies if reply.status == 201)
        assert api.get(f"/pools/{pool}/images/image-{round_}").json["size"] == winner.json["size"]


def test_one_of_many_changes_the_version_that_all_have_seen(api: Api, pool: str) -> None:
    api.post(f"/pools/{pool}/images", {"name": "wanted", "size": "1Mi"})
    path = f"/pools/{pool}/images/wanted"
    for round_ in range(1, 6):
        seen = {"If-Match": api.get(path).etag}
        sizes = [(round_ * 100 + number) << 20 for number in range(CLIENTS)]

        def grow(size: int, seen: dict[str, str] = seen) -> Reply:
            return api.patch(path, {"size": size}, headers=seen)

        replies = at_once(*(lambda size=size: grow(size) for size in sizes))
        assert statuses(replies) == {200: 1, 412: CLIENTS - 1}
        winner = next(reply for reply in replies if reply.status == 200)
        assert api.get(path).json["size"] == winner.json["size"]


def test_delete_and_rename_leave_one_outcome(api: Api, pool: str) -> None:
    for round_ in range(8):
        api.post(f"/pools/{pool}/images", {"name": "old", "size": "1Mi"})
        path = f"/pools/{pool}/images/old"
        deleted, renamed = at_once(lambda: api.delete(path), lambda: api.patch(path, {"name": f"new-{round_}"}))  # noqa: B023 - run at once
        listed = [image["name"] for image in api.get(f"/pools/{pool}/images").json["images"]]
        if deleted.status == 204:
            assert renamed.status in {404, 409}
            assert listed == []
        else:
            assert (deleted.status, renamed.status) in {(404, 200), (409, 200)}
            assert listed == [f"new-{round_}"]
            assert api.delete(f"/pools/{pool}/images/new-{round_}").status == 204
        assert api.get(f"/pools/{pool}/trash").json["entries"] == []


def test_many_delete_one_image(api: Api, pool: str) -> None:
    for _ in range(5):
        api.post(f"/pools/{pool}/images", {"name": "doomed", "size": "1Mi"})
        replies = at_once(*[lambda: api.delete(f"/pools/{pool}/images/doomed")] * CLIENTS)
        assert statuses(replies)[204] == 1
        assert set(statuses(replies)) <= {204, 404, 409}
        assert api.get(f"/pools/{pool}/images").json["images"] == []


def test_one_of_many_makes_the_pool(api: Api, ceph: Ceph, pool: str) -> None:
    name = f"{pool}-raced"
    try:
        replies = at_once(*[lambda: api.post("/pools", {"name": name})] * 4)
        assert statuses(replies) == {201: 1, 409: 3}
        assert api.get(f"/pools/{name}").json["applications"] == ["rbd"]
    finally:
        ceph.remove_pool(name)


@pytest.mark.parametrize("other", ["rename", "remove", "snapshot"])
def test_another_tool_at_the_same_time_breaks_nothing(api: Api, pool: str, ioctx: Any, other: str) -> None:
    """Not through the service: librbd decides, and the answer is one that is described."""
    for round_ in range(5):
        name = f"shared-{round_}"
        api.post(f"/pools/{pool}/images", {"name": name, "size": "1Mi"})

        def tool(name: str = name) -> None:
            try:
                if other == "rename":
                    rbd.RBD().rename(ioctx, name, f"{name}-b")
                elif other == "remove":
                    rbd.RBD().remove(ioctx, name)
                else:
                    with rbd.Image(ioctx, name) as image:
                        image.create_snap("snap")
            except rbd.Error:
                return

        # librbd's own call may never come back, when the image goes while it opens it: no test waits for that.
        start = Event()
        beside = Thread(target=lambda tool=tool, start=start: (start.wait(30), tool()), daemon=True)
        beside.start()
        start.set()
        ours = api.delete(f"/pools/{pool}/images/{name}")
        # 412: the other tool changed the image between the checks of the request and its deletion.
        assert ours.status in {204, 404, 409, 412}, ours.text
        beside.join(5)
    assert api.get(f"/pools/{pool}/images").status == 200
