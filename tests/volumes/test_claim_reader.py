"""How claims are read before they get a volume: one by one, or many at once. The API server is a fake."""

import asyncio
import time
from typing import Any

import pytest

from provisioner.volumes.cache_entries import claim_entry
from provisioner.volumes.claim_reader import FRESH_SECONDS, MANY, MOST_LISTED, MOST_OTHERS, ClaimReader
from provisioner.volumes.informers import VolumeInformers
from tests.volumes.objects import claim


class Api:
    """Has so many claims without a volume and with one, and counts the requests."""

    def __init__(self, waiting: int, others: int = 0) -> None:
        self.counts = (waiting, others)
        self.version = 0
        self.gets: list[str] = []
        self.lists = 0

    async def get(self, _: Any, name: str, namespace: str) -> Any:
        self.gets.append(name)
        return self._claim(name, namespace)

    async def list(self, _: Any, namespace: str) -> Any:
        self.lists += 1
        await asyncio.sleep(0)
        waiting, others = self.counts
        listed = [self._claim(f"data-{number}", namespace) for number in range(waiting)]
        return listed + [self._claim(f"other-{number}", namespace, volumeName="v") for number in range(others)]

    def _claim(self, name: str, namespace: str, **spec: Any) -> Any:
        self.version += 1
        return claim(metadata={"name": name, "namespace": namespace, "resourceVersion": str(self.version)}, **spec)

    def reader(self) -> ClaimReader:
        fake: Any = self
        return ClaimReader(fake, lambda _: self.counts)


async def test_claims_that_wait_together_are_read_by_one_request() -> None:
    api = Api(MANY, others=MOST_OTHERS * MANY)
    reader = api.reader()
    names = [f"data-{number}" for number in range(MANY)]
    found = await asyncio.gather(*(reader.read(name, "shop") for name in names))
    assert [one["metadata"]["name"] for one in found] == names
    assert (api.lists, api.gets) == (1, [])


@pytest.mark.parametrize(
    ("waiting", "others"),
    [(1, 0), (MANY - 1, 0), (MANY, MOST_OTHERS * MANY + 1), (MOST_LISTED + 1, 0)],
    ids=["one", "few", "few among many", "too many"],
)
async def test_claims_are_read_one_by_one_where_a_list_would_cost_more(waiting: int, others: int) -> None:
    api = Api(waiting, others)
    await api.reader().read("data-0", "shop")
    assert (api.lists, api.gets) == (0, ["data-0"])


async def test_no_answer_is_used_twice() -> None:
    api = Api(MANY)
    reader = api.reader()
    first = await reader.read("data-0", "shop")
    again = await reader.read("data-0", "shop")
    assert int(again["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])


async def test_list_is_used_for_a_second_only(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(MANY)
    reader = api.reader()
    await reader.read("data-0", "shop")
    later = time.monotonic() + FRESH_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    await reader.read("data-1", "shop")
    assert api.lists == 2


async def test_claim_that_the_list_lacks_is_read_alone() -> None:
    api = Api(MANY)
    found = await api.reader().read("new", "shop")
    assert (found["metadata"]["name"], api.lists, api.gets) == ("new", 1, ["new"])


async def test_namespaces_have_lists_of_their_own() -> None:
    api = Api(MANY)
    reader = api.reader()
    for namespace in ("shop", "bank"):
        assert (await reader.read("data-0", namespace))["metadata"]["namespace"] == namespace
    assert api.lists == 2


def test_informers_count_the_claims_of_a_namespace() -> None:
    client: Any = None
    informers = VolumeInformers(client)
    waiting, bound = claim_entry(claim()), claim_entry(claim(volumeName="v"))
    claims, volumes = informers._claims, informers._volumes
    claims._store("shop/data", "1", waiting)
    claims._store("shop/other", "1", bound)
    assert informers.count_claims("shop") == (1, 1)
    volumes._store(waiting.volume_key, "2", None)
    assert informers.count_claims("shop") == (0, 2)
    volumes._remove(waiting.volume_key)
    assert informers.count_claims("shop") == (1, 1)
    claims._store("shop/data", "3", bound)
    claims._remove("shop/other")
    assert informers.count_claims("shop") == (0, 1)
    claims._remove("shop/data")
    assert informers.count_claims("shop") == informers.count_claims("bank") == (0, 0)
    assert informers._volumeless == {}
