"""The trash through the service."""

from typing import Any

import pytest
import rbd

from tests.api.client import EDITOR, Api


@pytest.fixture
def thrown(api: Api, pool: str) -> str:
    """The path of an entry that is to be kept for an hour."""
    assert api.post(f"/pools/{pool}/images", {"name": "old", "size": "8Mi"}).status == 201
    assert api.delete(f"/pools/{pool}/images/old?trash=true&delay=3600").status == 204
    (entry,) = api.get(f"/pools/{pool}/trash").json["entries"]
    assert (entry["name"], entry["size"], entry["source"]) == ("old", 8 << 20, "USER")
    return f"/pools/{pool}/trash/{entry['id']}"


def entries(api: Api, pool: str) -> list[Any]:
    found: list[Any] = api.get(f"/pools/{pool}/trash").json["entries"]
    return found


def test_image_is_restored_from_the_trash(api: Api, pool: str, thrown: str) -> None:
    assert api.get(f"/pools/{pool}/images/old").status == 404
    restored = api.post(f"{thrown}/restore", {})
    assert (restored.status, restored.json["name"]) == (200, "old")
    assert entries(api, pool) == []
    assert api.post(f"{thrown}/restore", {}).status == 404


def test_image_is_restored_under_another_name_if_its_own_is_taken(api: Api, pool: str, thrown: str) -> None:
    api.post(f"/pools/{pool}/images", {"name": "old", "size": "1Mi"})
    assert api.post(f"{thrown}/restore", {}).status == 409
    assert len(entries(api, pool)) == 1
    restored = api.post(f"{thrown}/restore", {"name": "older"})
    assert restored.headers["Location"] == f"/api/v1/pools/{pool}/images/older"


def test_entry_is_kept_until_its_time_unless_forced(api: Api, pool: str, thrown: str) -> None:
    refused = api.delete(thrown)
    assert refused.status == 403
    assert "kept until" in refused.json["detail"]
    assert api.as_(EDITOR).delete(f"{thrown}?force=true").status == 403
    assert len(entries(api, pool)) == 1
    assert api.delete(f"{thrown}?force=true").status == 204
    assert entries(api, pool) == []
    assert api.delete(thrown).status == 404


def test_entry_without_delay_is_purged_at_once(api: Api, pool: str) -> None:
    api.post(f"/pools/{pool}/images", {"name": "brief", "size": "1Mi"})
    api.delete(f"/pools/{pool}/images/brief?trash=true")
    assert api.delete(f"/pools/{pool}/trash/{entries(api, pool)[0]['id']}").status == 204


def test_delay_applies_to_the_trash_only(api: Api, pool: str) -> None:
    api.post(f"/pools/{pool}/images", {"name": "kept", "size": "1Mi"})
    assert api.delete(f"/pools/{pool}/images/kept?delay=5").status == 422
    assert api.get(f"/pools/{pool}/images/kept").status == 200


def test_trash_is_listed_in_pages(api: Api, pool: str, ioctx: Any) -> None:
    for number in range(7):
        rbd.RBD().create(ioctx, f"image-{number}", 1 << 20)
        rbd.RBD().trash_move(ioctx, f"image-{number}", 0)
    pages = list(api.pages(f"/pools/{pool}/trash", limit=3))
    assert [len(page["entries"]) for page in pages] == [3, 3, 1]
    assert len({entry["id"] for page in pages for entry in page["entries"]}) == 7


@pytest.mark.parametrize("identifier", ["xyz", "..", "0" * 33, "A"])
def test_invalid_trash_identifier_is_rejected(api: Api, pool: str, identifier: str) -> None:
    assert api.delete(f"/pools/{pool}/trash/{identifier}").status in {404, 422}
