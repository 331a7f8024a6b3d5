"""What a mapping's status says of each state of the world."""

from typing import Any

import pytest

from provisioner.secrets import writer
from provisioner.secrets.planning.actions import DeleteCopy, NoAction, Wait, decide
from provisioner.secrets.planning.content import source_entry
from provisioner.secrets.planning.copies import SecretCopy, copy_body, copy_from_secret
from provisioner.secrets.planning.copy_cache import CopyCache
from provisioner.secrets.planning.state import SecretsState, mapping_entry, namespace_entry
from provisioner.secrets.planning.status import (
    LISTED,
    CopyObstacle,
    CopySurvey,
    ready_verdict,
    render_status,
    survey_copies,
)
from sutler.registry.mapping import ready_condition
from tests.secrets import objects
from tests.secrets.objects import Json, auth, config

SOURCE = objects.secret("source", config(quay__io=auth("u", "p")))
SPACES = ("team-a", "team-b", "team-c", "team-d")
LONGEST_MESSAGE = 32768
"""Characters; what the definition of RegistryMapping allows."""
NOW = "2026-02-03T04:05:06Z"


def world(
    *mappings: Json, copied: tuple[str, ...] = (), source: Json | None = SOURCE, owner: str = "pull"
) -> SecretsState:
    """Four namespaces, of which `copied` have what the mapping `owner` puts into them."""
    declared = {one["metadata"]["name"]: mapping_entry(one) for one in mappings}
    namespaces = {name: namespace_entry({"metadata": {"name": name}}) for name in SPACES}
    sources = {f"{objects.OWN}/source": source_entry(source)} if source else {}
    copies: dict[str, SecretCopy] = {}
    made = SecretsState(objects.OWN, declared, namespaces, sources, CopyCache(copies))
    for namespace in copied:
        copies[f"{namespace}/pull"] = copy_of(made, namespace, owner)
    return made


def copy_of(made: SecretsState, namespace: str, owner: str) -> SecretCopy:
    return copy_from_secret(body_of(made, namespace, owner))


def body_of(made: SecretsState, namespace: str, owner: str) -> Json:
    mapping = made.mappings[owner].mapping
    assert mapping is not None
    usable = made.content(mapping)
    assert not hasattr(usable, "reason")
    whole = copy_body(f"{namespace}/pull", owner, usable.content)
    whole["metadata"] |= {"uid": "uid", "resourceVersion": "7"}
    return whole


def status(made: SecretsState, name: str = "pull", **obstacles: CopyObstacle) -> Json:
    declared = made.mappings[name]
    by_target = {f"{namespace.replace('_', '-')}/pull": obstacle for namespace, obstacle in obstacles.items()}
    found = survey_copies(made, declared.mapping, by_target) if declared.mapping else CopySurvey()
    return render_status(declared, found, ready_verdict(made, declared, found), NOW)


def replace_source(made: SecretsState, source: Json) -> SecretsState:
    kept = {f"{objects.OWN}/source": source_entry(source)}
    return SecretsState(objects.OWN, made.mappings, made.namespaces, kept, made.copies)


def with_copy(made: SecretsState, namespace: str, metadata: Json) -> SecretsState:
    """With this of its copy's metadata changed."""
    copies = {target: copy for target in made.copies.targets() if (copy := made.copies.get(target))}
    whole = body_of(made, namespace, "pull")
    whole["metadata"] |= metadata
    copies[f"{namespace}/pull"] = copy_from_secret(whole)
    sources = {f"{objects.OWN}/source": source_entry(SOURCE)}
    return SecretsState(objects.OWN, made.mappings, made.namespaces, sources, CopyCache(copies))


def condition(rendered: Json, kind: str = "Ready") -> Json:
    found: Json = next((one for one in rendered["conditions"] if one["type"] == kind), {})
    return found


def pull(**changes: Any) -> Json:
    return objects.mapping("pull", **changes)


FOREIGN = CopyObstacle("exists and is not Sutler's", foreign=True)


def test_all_copied_is_ready() -> None:
    rendered = status(world(pull(), copied=SPACES))
    assert rendered == {
        "observedGeneration": 1,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Synced",
                "message": "All 4 selected namespaces have their copy.",
                "observedGeneration": 1,
                "lastTransitionTime": NOW,
            }
        ],
        "namespaces": {"selected": 4, "synced": 4},
    }


def test_copies_on_their_way_are_counted() -> None:
    rendered = status(world(pull(), copied=SPACES[:1]))
    assert condition(rendered)["reason"] == "Copying"
    assert condition(rendered)["status"] == "False"
    assert rendered["namespaces"] == {"selected": 4, "synced": 1, "lacking": ["team-b", "team-c", "team-d"]}


def test_copy_that_is_only_outdated_does_not_lack() -> None:
    made = world(pull(), copied=SPACES)
    rotated = objects.secret("source", config(quay__io=auth("u", "new")))
    made = replace_source(made, rotated)
    rendered = status(made)
    assert condition(rendered)["reason"] == "Copying"
    assert rendered["namespaces"] == {"selected": 4, "synced": 0, "lacking": []}


def test_copy_that_waits_for_a_finalizer_lacks_and_is_named() -> None:
    made = world(pull(), copied=SPACES)
    going = {"deletionTimestamp": NOW, "finalizers": ["example.com/keep"]}
    made = with_copy(made, "team-a", going)
    assert decide(made, "team-a/pull") == Wait(("example.com/keep",))
    rendered = status(made, team_a=writer.deletion_obstacle(("example.com/keep",)))
    words = "team-a/pull: it is being deleted and waits for finalizers example.com/keep. Sutler will retry."
    assert (condition(rendered)["reason"], condition(rendered)["message"]) == ("CopyFailed", words)
    assert rendered["namespaces"] == {"selected": 4, "synced": 3, "lacking": ["team-a"]}


def test_unwanted_copy_that_goes_already_is_not_deleted_again() -> None:
    made = with_copy(world(pull(), copied=SPACES), "team-a", {"deletionTimestamp": NOW, "finalizers": ["a/b"]})
    assert isinstance(made.mappings, dict)
    old = made.mappings.pop("pull")
    made.update_mapping("pull", old, None)
    assert decide(made, "team-a/pull") == NoAction()
    assert isinstance(decide(made, "team-b/pull"), DeleteCopy)


def test_conflict_does_not_hide_a_failure() -> None:
    rendered = status(world(pull(), copied=SPACES[2:]), team_a=FOREIGN, team_b=CopyObstacle("exceeded quota"))
    assert condition(rendered)["reason"] == "Conflict"
    assert "team-b/pull: exceeded quota. Sutler will retry." in condition(rendered)["message"]


def test_namespaces_that_lack_are_listed_up_to_what_the_definition_allows() -> None:
    made = world(pull())
    assert isinstance(made.namespaces, dict)
    made.namespaces.update({f"n{n}": namespace_entry({"metadata": {"name": f"n{n}"}}) for n in range(LISTED + 9)})
    assert len(status(made)["namespaces"]["lacking"]) == LISTED


def test_foreign_secrets_in_the_way_are_named_but_not_all_of_them() -> None:
    rendered = status(world(pull()), team_a=FOREIGN, team_b=FOREIGN, team_c=FOREIGN, team_d=FOREIGN)
    assert condition(rendered)["reason"] == "Conflict"
    assert "team-a/pull exists and is not Sutler's" in condition(rendered)["message"]
    assert "and 1 more" in condition(rendered)["message"]
    assert "team-d" not in condition(rendered)["message"]
    assert condition(rendered, "Conflict")["status"] == "True"
    assert condition(rendered, "Conflict")["message"] == condition(rendered)["message"]


def test_conflict_condition_is_there_only_while_there_is_one() -> None:
    assert condition(status(world(pull(), copied=SPACES)), "Conflict") == {}


def test_failures_are_reported_with_their_cause() -> None:
    rendered = status(world(pull(), copied=SPACES[1:]), team_a=CopyObstacle("exceeded quota"))
    assert condition(rendered)["reason"] == "CopyFailed"
    assert condition(rendered)["message"] == "team-a/pull: exceeded quota. Sutler will retry."


def test_an_obstacle_that_is_over_does_not_count() -> None:
    rendered = status(world(pull(), copied=SPACES), team_a=CopyObstacle("exceeded quota"))
    assert condition(rendered)["reason"] == "Synced"


def test_missing_source_says_what_becomes_of_the_copies() -> None:
    rendered = status(world(pull(), source=None))
    assert condition(rendered)["reason"] == "SourceMissing"
    assert "selected namespaces stay unchanged" in condition(rendered)["message"]


def test_impossible_mapping_says_what_is_wrong_with_it() -> None:
    rendered = status(world(pull(registries=("quay.io/*",))))
    assert condition(rendered)["reason"] == "Invalid"
    assert "spec.registries[0]" in condition(rendered)["message"]
    assert "namespaces" not in rendered


LONG = tuple(f"registry-{number}.example.com/{'a' * 200}" for number in range(256))


@pytest.mark.parametrize(
    ("registries", "data", "reason", "end"),
    [
        (tuple(f"{name}/*" for name in LONG), config(), "Invalid", "Existing copies stay unchanged."),
        (LONG, config(quay__io=auth("u", "p")), "SourceUnusable", "namespaces stay unchanged."),
        (
            ("ghcr.io",),
            config(**dict.fromkeys(LONG, auth("u", "p"))),
            "SourceUnusable",
            "namespaces stay unchanged.",
        ),
        (("quay.io",), config(quay__io=auth("u", "p"), **dict.fromkeys(LONG, "")), "Synced", "and 253 more."),
    ],
    ids=["bad registries", "registries", "keys", "keys without credentials"],
)
def test_a_message_of_hundreds_of_causes_fits_into_a_status(
    registries: tuple[str, ...], data: dict[str, str], reason: str, end: str
) -> None:
    copied = SPACES if reason == "Synced" else ()
    made = world(pull(registries=registries), source=objects.secret("source", data), copied=copied)
    found = condition(status(made))
    assert found["reason"] == reason
    assert found["message"].endswith(end)
    assert len(found["message"]) <= LONGEST_MESSAGE
    if reason != "Invalid":
        assert len(found["message"]) < 2000, "people read it in one line"


def test_observing_mapping_is_ready_and_changes_nothing() -> None:
    rendered = status(world(pull(mode="Observe")))
    assert (condition(rendered)["status"], condition(rendered)["reason"]) == ("True", "Observing")
    assert rendered["namespaces"] == {"selected": 4, "synced": 0}


def test_mapping_that_copies_nothing_is_ready() -> None:
    rendered = status(world(pull(copy_from=None)))
    assert (condition(rendered)["status"], condition(rendered)["reason"]) == ("True", "ReferenceOnly")
    assert rendered["namespaces"] == {"selected": 4}


def test_two_mappings_with_one_secret_name_each_other() -> None:
    other = objects.mapping("other", secret="pull")
    rendered = status(world(pull(), other, copied=SPACES), "other")
    assert condition(rendered)["reason"] == "Conflict"
    assert "team-a/pull belongs to mapping pull" in condition(rendered)["message"]
    assert condition(status(world(pull(), other, copied=SPACES)))["reason"] == "Synced"


@pytest.mark.parametrize(("before", "since"), [("True", "2025-01-01T00:00:00Z"), ("False", NOW)])
def test_transition_time_changes_with_the_status_only(before: str, since: str) -> None:
    old = {"type": "Ready", "status": before, "reason": "X", "lastTransitionTime": "2025-01-01T00:00:00Z"}
    rendered = status(world(pull() | {"status": {"conditions": [old]}}, copied=SPACES))
    assert condition(rendered)["lastTransitionTime"] == since


def test_namespaces_that_are_going_are_not_selected() -> None:
    made = world(pull(), copied=SPACES[1:])
    assert isinstance(made.namespaces, dict)
    made.namespaces["team-a"] = namespace_entry({"metadata": {"name": "team-a", "deletionTimestamp": NOW}})
    assert status(made)["namespaces"] == {"selected": 3, "synced": 3}


def test_reason_of_a_stored_status_is_found_or_empty() -> None:
    assert ready_condition({"status": status(world(pull(), copied=SPACES))})["reason"] == "Synced"
    assert ready_condition({}) == {}
