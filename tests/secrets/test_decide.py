"""What is done with one copy, for each state of the world."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from provisioner.secrets.planning.actions import (
    Action,
    Blocked,
    CreateCopy,
    DeleteCopy,
    NoAction,
    PatchCopy,
    RecreateCopy,
    decide,
)
from provisioner.secrets.planning.content import PullSecretSource, UsableContent, source_entry
from provisioner.secrets.planning.copies import SecretCopy, copy_body, copy_from_secret, copy_patch
from provisioner.secrets.planning.copy_cache import CopyCache
from provisioner.secrets.planning.state import (
    DeclaredMapping,
    NamespaceState,
    SecretsState,
    mapping_entry,
    namespace_entry,
)
from sutler import well_known
from sutler.registry.dockerconfig import DOCKERCFG, DOCKERCONFIGJSON
from tests.secrets import objects
from tests.secrets.objects import Json, auth, config

TARGET = "team-a/pull"
ROTATED = objects.secret("source", config(quay__io=auth("u", "new")))
SOURCE = objects.secret("source", config(quay__io=auth("u", "p"), ghcr__io=auth("v", "q")))
LEGACY = objects.secret("source", config(DOCKERCFG, quay__io=auth("u", "p")), DOCKERCFG)
BROKEN = objects.secret("source", {".dockerconfigjson": "e30="})


def made(source: Json = SOURCE, name: str = "pull", target: str = TARGET, **metadata: Any) -> Json:
    """The copy as the controller makes it, with what the API server adds."""
    declared = mapping_entry(objects.mapping(name, secret="pull")).mapping
    assert declared is not None
    world = SecretsState(objects.OWN, {}, {}, {f"{objects.OWN}/source": source_entry(source)}, CopyCache({}))
    usable = world.content(declared)
    assert isinstance(usable, UsableContent)
    copy = copy_body(target, name, usable.content)
    copy["metadata"] |= {"uid": "uid", "resourceVersion": "7", **metadata}
    return copy


def changed(copy: Json, **fields: Any) -> Json:
    return {**copy, **fields}


def foreign() -> Json:
    return changed(made(), metadata={"name": "pull", "namespace": "team-a", "uid": "uid", "resourceVersion": "7"})


@dataclass
class Case:
    expected: type[Action]
    mappings: list[Json] = field(default_factory=lambda: [objects.mapping("pull")])
    source: Json | None = field(default_factory=lambda: SOURCE)
    copy: Json | None = None
    labels: dict[str, str] = field(default_factory=dict)
    terminating: bool = False
    known_namespace: bool = True
    target: str = TARGET


TEAM_A = {"matchLabels": {"team": "a"}}
OTHER = objects.mapping("other", secret="pull")

CASES: dict[str, Case] = {
    "nothing there, wanted": Case(CreateCopy),
    "nothing there, no mapping declares it": Case(NoAction, mappings=[]),
    "right": Case(NoAction, copy=made()),
    "source rotated": Case(PatchCopy, source=ROTATED, copy=made()),
    "source changed its type": Case(RecreateCopy, source=LEGACY, copy=made()),
    "source missing, nothing there": Case(NoAction, source=None),
    "source missing, copy there": Case(NoAction, source=None, copy=made()),
    "source broken, copy there": Case(NoAction, source=BROKEN, copy=made()),
    "source has nothing for the registries": Case(
        NoAction, mappings=[objects.mapping("pull", registries=("gcr.io",))], copy=made()
    ),
    "source broken, namespace not selected any more": Case(
        DeleteCopy, source=BROKEN, mappings=[objects.mapping("pull", selector=TEAM_A)], copy=made()
    ),
    "data edited": Case(PatchCopy, copy=changed(made(), data=config(quay__io=auth("x", "y")))),
    "data emptied": Case(PatchCopy, copy=changed(made(), data=None)),
    "a key added": Case(PatchCopy, copy=changed(made(), data={**made()["data"], "extra": "eA=="})),
    "made immutable, right": Case(NoAction, copy=changed(made(), immutable=True)),
    "made immutable, source rotated": Case(RecreateCopy, source=ROTATED, copy=changed(made(), immutable=True)),
    "other people's labels on it": Case(
        NoAction, copy=made(labels={well_known.MANAGED_BY: "sutler", well_known.MAPPING: "pull", "team": "a"})
    ),
    "its place not noted yet": Case(PatchCopy, copy=made(annotations={})),
    "copied on by hand from another namespace": Case(Blocked, copy=made(annotations={well_known.COPY: "team-b/pull"})),
    "copied on by hand, no mapping declares it": Case(
        NoAction, mappings=[], copy=made(annotations={well_known.COPY: "team-b/pull"})
    ),
    "namespace selected": Case(CreateCopy, mappings=[objects.mapping("pull", selector=TEAM_A)], labels={"team": "a"}),
    "namespace not selected": Case(NoAction, mappings=[objects.mapping("pull", selector=TEAM_A)]),
    "namespace not selected any more": Case(
        DeleteCopy, mappings=[objects.mapping("pull", selector=TEAM_A)], copy=made()
    ),
    "namespace terminating, nothing there": Case(NoAction, terminating=True),
    "namespace terminating, copy there": Case(NoAction, terminating=True, mappings=[], copy=made()),
    "namespace unknown": Case(NoAction, known_namespace=False),
    "mapping gone": Case(DeleteCopy, mappings=[], copy=made()),
    "mapping makes another name now": Case(DeleteCopy, mappings=[objects.mapping("pull", secret="new")], copy=made()),
    "mapping copies no more": Case(DeleteCopy, mappings=[objects.mapping("pull", copy_from=None)], copy=made()),
    "mapping without copyFrom": Case(NoAction, mappings=[objects.mapping("pull", copy_from=None)]),
    "mapping observes": Case(NoAction, mappings=[objects.mapping("pull", mode="Observe")]),
    "mapping observes, copy there and stale": Case(
        NoAction, mappings=[objects.mapping("pull", mode="Observe")], source=ROTATED, copy=made()
    ),
    "mapping observes and does not select it, copy there": Case(
        NoAction, mappings=[objects.mapping("pull", mode="Observe", selector=TEAM_A)], copy=made()
    ),
    "mapping impossible": Case(NoAction, mappings=[objects.mapping("pull", registries=("quay.io/*",))]),
    "mapping impossible, copy there": Case(
        NoAction, mappings=[objects.mapping("pull", registries=("quay.io/*",))], copy=made()
    ),
    "two want it, nothing there": Case(CreateCopy, mappings=[objects.mapping("pull"), OTHER]),
    "two want it, one has it": Case(NoAction, mappings=[objects.mapping("pull"), OTHER], copy=made()),
    "another takes over where the first is gone": Case(PatchCopy, mappings=[OTHER], copy=made()),
    "another wants it, the first only observes": Case(
        NoAction, mappings=[objects.mapping("pull", mode="Observe"), OTHER], copy=made()
    ),
    "it is a source": Case(
        NoAction,
        mappings=[objects.mapping("pull", secret="source")],
        target=f"{objects.OWN}/source",
    ),
    "it is a source that bears our labels": Case(
        NoAction,
        mappings=[objects.mapping("else", secret="else", copy_from="source")],
        target=f"{objects.OWN}/source",
        copy=made(target=f"{objects.OWN}/source", name="gone"),
    ),
}


def world(case: Case) -> SecretsState:
    namespace, name = case.target.split("/")
    terminating = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if case.terminating else {}
    found = namespace_entry({"metadata": {"name": namespace, "labels": case.labels, **terminating}})
    sources: dict[str, PullSecretSource] = {}
    if case.source is not None:
        sources[f"{objects.OWN}/source"] = source_entry(case.source)
    copies: dict[str, SecretCopy] = {}
    if case.copy is not None:
        case.copy["metadata"]["name"] = name
        copies[case.target] = copy_from_secret(case.copy)
    declared: dict[str, DeclaredMapping] = {one["metadata"]["name"]: mapping_entry(one) for one in case.mappings}
    namespaces: dict[str, NamespaceState] = {namespace: found} if case.known_namespace else {}
    return SecretsState(objects.OWN, declared, namespaces, sources, CopyCache(copies))


@pytest.mark.parametrize("name", CASES)
def test_decision(name: str) -> None:
    case = CASES[name]
    assert isinstance(decide(world(case), case.target), case.expected)


@pytest.mark.parametrize("spec", [None, [], "text", {"registries": 7, "pullSecret": [], "namespaceSelector": 1}])
def test_unreadable_mapping_keeps_its_copies(spec: object) -> None:
    unreadable = objects.mapping("pull") | {"spec": spec}
    assert mapping_entry(unreadable).problem
    assert isinstance(decide(world(Case(NoAction, mappings=[unreadable], copy=made())), TARGET), NoAction)


def test_of_two_mappings_the_first_by_name_gets_an_empty_place() -> None:
    action = decide(world(CASES["two want it, nothing there"]), TARGET)
    assert isinstance(action, CreateCopy)
    assert action.mapping == "other"


def test_of_two_mappings_the_one_that_has_the_copy_keeps_it() -> None:
    case = Case(PatchCopy, mappings=[objects.mapping("pull"), OTHER], source=ROTATED, copy=made())
    action = decide(world(case), TARGET)
    assert isinstance(action, PatchCopy)
    assert action.mapping == "pull"


def test_a_secret_without_our_labels_is_foreign() -> None:
    assert copy_from_secret(foreign()).foreign
    assert not copy_from_secret(made()).foreign


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {well_known.MANAGED_BY: "sutler"},
        {well_known.MAPPING: "pull"},
        {well_known.MANAGED_BY: "helm", well_known.MAPPING: "pull"},
    ],
)
def test_half_of_our_labels_make_no_copy(labels: dict[str, str]) -> None:
    assert copy_from_secret(made(labels=labels)).foreign


def test_copy_holds_only_what_the_registries_can_use_and_the_same_bytes_each_time() -> None:
    copy = made()
    assert objects.auths(copy) == {"quay.io": {"auth": auth("u", "p")}}
    assert copy["type"] == DOCKERCONFIGJSON
    swapped = objects.secret("source", config(ghcr__io=auth("v", "q"), quay__io=auth("u", "p")))
    assert made(swapped) == copy


def test_patch_replaces_the_data_and_leaves_other_labels_alone() -> None:
    stale = made(
        labels={well_known.MANAGED_BY: "sutler", well_known.MAPPING: "pull", "team": "a"}, annotations={"note": "x"}
    )
    action = decide(world(Case(PatchCopy, source=ROTATED, copy=stale)), TARGET)
    assert isinstance(action, PatchCopy)
    operations = copy_patch(TARGET, action.mapping, action.content, action.copy)
    assert operations == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "add", "path": "/metadata/labels/sutler.dev~1mapping", "value": "pull"},
        {"op": "add", "path": "/data", "value": made(ROTATED)["data"]},
        {"op": "add", "path": "/metadata/annotations/sutler.dev~1copy", "value": TARGET},
    ]
