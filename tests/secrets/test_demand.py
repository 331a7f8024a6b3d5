"""Where copies are needed, and when an unused one may go: pure, and over a client that lists given Pods."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.secrets.collector import COLLECTED, RETURNED, Collector
from provisioner.secrets.planning.actions import CreateCopy, NoAction, PatchCopy, collectable, decide
from provisioner.secrets.planning.content import source_entry
from provisioner.secrets.planning.copies import SecretCopy, copy_from_secret
from provisioner.secrets.planning.copy_cache import CopyCache
from provisioner.secrets.planning.demand import Demand, is_eager, pod_pull_secrets
from provisioner.secrets.planning.state import SecretsState, mapping_entry, namespace_entry
from provisioner.secrets.planning.status import ready_verdict, render_status, survey_copies
from sutler import well_known
from sutler.registry.mapping import Mapping
from tests.secrets import objects
from tests.secrets.test_decide import ROTATED, SOURCE, changed, foreign, made

Json = dict[str, Any]

TARGET = "team-a/pull"
DAY = 86_400.0


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def pod(*names: str | None) -> Json:
    return {"spec": {"imagePullSecrets": [{"name": name} if name is not None else {} for name in names]}}


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (pod("a", "b"), ("a", "b")),
        (pod("a", "a", "", None), ("a",)),
        ({"spec": {}}, ()),
        ({"spec": {"imagePullSecrets": None}}, ()),
        ({}, ()),
    ],
)
def test_of_a_pod_the_names_of_its_pull_secrets_are_kept(obj: Json, expected: tuple[str, ...]) -> None:
    assert pod_pull_secrets(obj) == expected


def test_copy_is_named_while_a_pod_waits() -> None:
    demand = Demand(Clock())
    assert list(demand.update_pod("team-a/one", None, ("pull", "other"))) == ["team-a/pull", "team-a/other"]
    list(demand.update_pod("team-a/two", None, ("pull",)))
    assert demand.is_named(TARGET)
    assert not demand.is_named("team-b/pull")
    list(demand.update_pod("team-a/one", ("pull", "other"), None))
    assert demand.is_named(TARGET)
    assert not demand.is_named("team-a/other")
    list(demand.update_pod("team-a/two", ("pull",), None))
    assert not demand.is_named(TARGET)


def test_idle_time_counts_from_the_last_pod_and_never_from_before_the_watch() -> None:
    clock = Clock()
    demand = Demand(clock)
    assert demand.idle_seconds(TARGET) == 0.0
    demand.begin()
    clock.now += 10
    demand.begin()
    assert demand.idle_seconds(TARGET) == 10
    list(demand.update_pod("team-a/one", None, ("pull",)))
    clock.now += 10
    assert demand.idle_seconds(TARGET) == 0.0
    list(demand.update_pod("team-a/one", ("pull",), None))
    clock.now += 5
    assert demand.idle_seconds(TARGET) == 5
    demand.record_use(TARGET)
    assert demand.idle_seconds(TARGET) == 0


changes = st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.lists(st.sampled_from(["x", "y"])).map(tuple)))


@settings(deadline=None)
@given(changes)
def test_what_is_named_is_what_the_pods_there_name(steps: list[tuple[str, tuple[str, ...] | None]]) -> None:
    demand, pods = Demand(Clock()), dict[str, tuple[str, ...]]()
    for name, listed in steps:
        new = None if listed is None else tuple(dict.fromkeys(listed))
        list(demand.update_pod(f"ns/{name}", pods.pop(name, None), new))
        if new is not None:
            pods[name] = new
    for secret in "xy":
        assert demand.is_named(f"ns/{secret}") == any(secret in named for named in pods.values())


@dataclass
class Stage:
    """A world with one mapping that has its copies made on demand, and one namespace."""

    copy: Json | None = None
    source: Json | None = field(default_factory=lambda: SOURCE)
    labels: dict[str, str] = field(default_factory=dict)
    listed: list[tuple[str, ...]] = field(default_factory=list)
    """What the Pods that are not finished name, as the API server lists them."""
    clock: Clock = field(default_factory=Clock)
    copies: str = "OnDemand"

    mapping: Mapping = field(init=False)

    def __post_init__(self) -> None:
        obj = objects.mapping("pull")
        obj["spec"]["pullSecret"]["copies"] = self.copies
        declared = mapping_entry(obj)
        assert declared.mapping is not None
        self.declared = declared
        self.mapping = declared.mapping
        self.demand = Demand(self.clock)
        self.demand.begin()
        namespace = namespace_entry({"metadata": {"name": "team-a", "labels": self.labels}})
        sources = {f"{objects.OWN}/source": source_entry(self.source)} if self.source else {}
        found: dict[str, SecretCopy] = {TARGET: copy_from_secret(self.copy)} if self.copy else {}
        self.state = SecretsState(
            objects.OWN, {"pull": declared}, {"team-a": namespace}, sources, CopyCache(found), demand=self.demand
        )
        self.collector = Collector(self, self.state, DAY, self.clock)  # type: ignore[arg-type] # it lists Pods only

    async def list_transformed(self, *_: Any, **__: Any) -> tuple[list[tuple[str, ...]], str]:
        return self.listed, "1"

    async def may_delete(self) -> bool:
        """Whether an unused copy would be deleted now."""
        return bool(
            collectable(self.state, self.mapping, TARGET) and await self.collector.may_delete(self.mapping, TARGET)
        )


def test_copy_is_made_where_a_pod_names_it_and_nowhere_else() -> None:
    stage = Stage()
    assert isinstance(decide(stage.state, TARGET), NoAction)
    list(stage.demand.update_pod("team-a/one", None, ("pull",)))
    assert isinstance(decide(stage.state, TARGET), CreateCopy)


def test_namespace_that_says_so_gets_its_copies_at_once() -> None:
    assert isinstance(decide(Stage(labels={well_known.COPIES: "eager"}).state, TARGET), CreateCopy)
    assert not is_eager({well_known.COPIES: "on-demand"})


def test_eager_mapping_makes_its_copies_as_ever() -> None:
    assert isinstance(decide(Stage(copies="Eager").state, TARGET), CreateCopy)


def test_copy_that_is_there_is_kept_up_to_date() -> None:
    assert isinstance(decide(Stage(copy=made(), source=ROTATED).state, TARGET), PatchCopy)
    assert isinstance(decide(Stage(copy=made()).state, TARGET), NoAction)


async def test_unused_copy_goes_after_its_time() -> None:
    stage = Stage(copy=made())
    stage.clock.now += DAY - 1
    assert not await stage.may_delete()
    stage.clock.now += 1
    assert await stage.may_delete()


STAYS: dict[str, dict[str, Any]] = {
    "a Pod that runs names it": {"listed": [("other",), ("pull",)]},
    "its namespace wants all": {"labels": {well_known.COPIES: "eager"}},
    "its mapping is eager": {"copies": "Eager"},
    # It could not be made again.
    "its source is missing": {"source": None},
    "its source is broken": {"source": objects.secret("source", {".dockerconfigjson": "e30="})},
    "it is another's": {"copy": foreign()},
    "it is another mapping's": {"copy": made(labels={well_known.MANAGED_BY: "sutler", well_known.MAPPING: "x"})},
    "it is being deleted": {"copy": made(deletionTimestamp="2026-01-01T00:00:00Z")},
}


@pytest.mark.parametrize("why", STAYS)
async def test_copy_stays_where(why: str) -> None:
    stage = Stage(**{"copy": made(), **STAYS[why]})
    stage.clock.now += 2 * DAY
    assert not await stage.may_delete()


async def test_use_by_a_running_pod_begins_its_time_anew() -> None:
    stage = Stage(copy=made(), listed=[("pull",)])
    stage.clock.now += DAY
    assert not await stage.may_delete()
    stage.listed = []
    stage.clock.now += DAY - 1
    assert not await stage.may_delete()
    stage.clock.now += 1
    assert await stage.may_delete()


async def test_nothing_goes_before_the_pods_have_been_seen() -> None:
    stage = Stage(copy=made())
    stage.state.demand = Demand(stage.clock)
    stage.clock.now += 9 * DAY
    assert not await stage.may_delete()


async def test_pod_that_came_while_its_copy_was_deleted_gets_it_back_though_it_runs_already() -> None:
    stage = Stage(copy=made())
    stage.clock.now += DAY
    assert await stage.may_delete()
    # Created, pulled and running within the time of the delete call.
    list(stage.demand.update_pod("team-a/one", None, ("pull",)))
    list(stage.demand.update_pod("team-a/one", ("pull",), None))
    before = COLLECTED._value.get()
    stage.clock.now += 2 * DAY  # however late the answer is
    stage.collector.record_deletion(TARGET)
    assert COLLECTED._value.get() == before + 1
    assert stage.state.is_needed(stage.mapping, TARGET)
    # Later on the list of Pods says whether that is still so.
    stage.clock.now += DAY
    assert await stage.may_delete()


def test_copy_that_comes_back_soon_is_counted() -> None:
    stage = Stage()
    before = RETURNED._value.get()
    stage.clock.now += DAY
    stage.collector.record_deletion(TARGET)
    stage.clock.now += DAY - 1
    stage.collector.record_creation(TARGET)
    assert RETURNED._value.get() == before + 1
    stage.collector.record_deletion(TARGET)
    stage.clock.now += DAY
    stage.collector.record_creation(TARGET)
    assert RETURNED._value.get() == before + 1


def ready(stage: Stage) -> tuple[str, Json]:
    found = survey_copies(stage.state, stage.mapping, {})
    verdict = ready_verdict(stage.state, stage.declared, found)
    status = render_status(stage.declared, found, verdict, "2026-01-01T00:00:00Z")
    return verdict.reason, status["namespaces"]


def test_status_counts_where_copies_are_needed() -> None:
    assert ready(Stage()) == ("Synced", {"selected": 1, "needed": 0, "synced": 0})
    waiting = Stage()
    list(waiting.demand.update_pod("team-a/one", None, ("pull",)))
    assert ready(waiting) == ("Copying", {"selected": 1, "needed": 1, "synced": 0, "lacking": ["team-a"]})
    assert ready(Stage(copy=made())) == ("Synced", {"selected": 1, "needed": 1, "synced": 1})
    assert ready(Stage(copies="Eager", copy=made())) == ("Synced", {"selected": 1, "synced": 1})


def test_status_says_when_pods_can_not_be_seen() -> None:
    stage = Stage(copy=made())
    stage.state.demand = Demand(stage.clock)
    reason, _ = ready(stage)
    assert reason == "PodsUnseen"


def test_damaged_copy_counts_as_needed() -> None:
    reason, counts = ready(Stage(copy=changed(made(), data=None)))
    assert (reason, counts["needed"], counts["synced"]) == ("Copying", 1, 0)


def test_namespace_that_is_gone_leaves_nothing_behind() -> None:
    demand = Stage().demand
    demand.hold("team-a/pull")
    demand.hold("team-ab/pull")
    demand.drop_namespace("team-a")
    assert not demand.is_named("team-a/pull")
    assert demand.is_named("team-ab/pull")
