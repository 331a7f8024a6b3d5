"""The service is killed during its work: the next one reports incomplete images, and the work can be repeated."""

import http.client
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import rbd

from tests.api.client import AT_ONCE, Api
from tests.api.conftest import Service
from tests.cluster import wait_for


@pytest.fixture
def large(pool: str, ioctx: Any) -> str:
    """An image with a snapshot; 2^16 objects have to be looked for, and no map says that there are none."""
    rbd.RBD().create(ioctx, "large", 1 << 38, old_format=False, features=1)
    with rbd.Image(ioctx, "large") as image:
        image.create_snap("first")
    return f"/pools/{pool}/images/large"


@pytest.mark.parametrize(
    ("method", "below", "body", "way_out"),
    [
        ("PATCH", "", {"size": "1Gi", "shrink": True}, "shrink it again"),
        ("POST", "/snapshots/first/rollback", None, "roll it back again"),
    ],
    ids=["shrink", "rollback"],
)
def test_interrupted_work_marks_the_image_with_the_way_out(
    service: Service, api: Api, large: str, method: str, below: str, body: Any, way_out: str
) -> None:
    accepted = api.call(method, f"{large}{below}", body, headers=AT_ONCE)
    assert accepted.status == 202
    operation = accepted.headers["Location"].removeprefix("/api/v1")
    wait_for(lambda: "is running" in (api.get(large).json["unfinished"] or ""), "the image to bear its mark")
    service.process.restart()
    recalled = api.get(operation).json
    assert (recalled["state"], way_out in recalled["detail"]) == ("interrupted", True)
    assert way_out in api.get(large).json["unfinished"]
    refused = api.patch(large, {"name": "another"})
    assert (refused.status, way_out in refused.json["detail"]) == (409, True)


def test_interrupted_creations_can_be_repeated(service: Service, api: Api, pool: str) -> None:
    names = [f"image-{number}" for number in range(200)]
    answered: list[str] = []

    def create(name: str) -> None:
        try:
            if api.post(f"/pools/{pool}/images", {"name": name, "size": "1Mi"}).status == 201:
                answered.append(name)
        except (OSError, http.client.HTTPException):
            return  # its outcome is unknown

    with ThreadPoolExecutor(16) as threads:
        pending = [threads.submit(create, name) for name in names]
        wait_for(lambda: len(answered) >= 20, "the first answers")
        service.process.kill9()
        for each in pending:
            each.result()
    assert len(answered) < len(names), "it was killed too late"
    service.process.start()
    there = {image["name"]: image["unfinished"] for image in api.get(f"/pools/{pool}/images?limit=1000").json["images"]}
    assert [name for name in answered if there.get(name, "absent") is not None] == []
    for name in names:
        whole = name in there and there[name] is None
        assert api.post(f"/pools/{pool}/images", {"name": name, "size": "1Mi"}).status == (409 if whole else 201)
    listed = api.get(f"/pools/{pool}/images?limit=1000").json["images"]
    assert (len(listed), [image["name"] for image in listed if image["unfinished"]]) == (len(names), [])
