"""Labels and annotations that a mapping puts on its copies."""

from typing import Any

import jsonpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.secrets.planning.actions import is_current
from provisioner.secrets.planning.content import PullSecretSource, UsableContent, content_of, source_entry
from provisioner.secrets.planning.copies import copy_body, copy_from_secret, copy_patch
from provisioner.secrets.planning.copy_metadata import is_intact, metadata_patch, parse_record, record_of
from sutler import well_known
from sutler.registry.mapping import Mapping, MappingError, parse_mapping
from tests.secrets import objects
from tests.secrets.test_decide import SOURCE

Json = dict[str, Any]
Texts = dict[str, str]

TARGET = "team-a/pull"


def mapping(labels: Texts | None = None, annotations: Texts | None = None) -> Mapping:
    obj = objects.mapping("pull")
    pull = obj["spec"]["pullSecret"]
    pull |= {key: value for key, value in (("labels", labels), ("annotations", annotations)) if value is not None}
    return parse_mapping(obj)


def content(labels: Texts | None = None, annotations: Texts | None = None) -> UsableContent:
    source: PullSecretSource = source_entry(SOURCE)
    found = content_of(mapping(labels, annotations), source)
    assert isinstance(found, UsableContent)
    return found


def stored(usable: UsableContent, **metadata: Json) -> Json:
    """The copy as the API server has it."""
    copy = copy_body(TARGET, "pull", usable.content)
    for field, pairs in metadata.items():
        copy["metadata"][field] |= pairs
    copy["metadata"] |= {"uid": "uid", "resourceVersion": "7"}
    return copy


def test_copy_carries_what_its_mapping_says() -> None:
    copy = stored(content({"team": "a"}, {"argocd.argoproj.io/compare-options": "IgnoreExtraneous"}))
    assert copy["metadata"]["labels"] == {"team": "a", well_known.MANAGED_BY: "sutler", well_known.MAPPING: "pull"}
    annotations = copy["metadata"]["annotations"]
    assert annotations["argocd.argoproj.io/compare-options"] == "IgnoreExtraneous"
    assert annotations[well_known.COPY] == TARGET


def test_copy_without_any_is_as_ever() -> None:
    copy = stored(content())
    assert copy["metadata"]["labels"] == {well_known.MANAGED_BY: "sutler", well_known.MAPPING: "pull"}
    assert copy["metadata"]["annotations"] == {well_known.COPY: TARGET}
    assert is_current(copy_from_secret(copy), "pull", content().content)


keys = st.sampled_from(["team", "example.com/a", "x~y"])
texts = st.dictionaries(keys, st.sampled_from(["1", "2"]))


@settings(deadline=None)
@given(before=texts, after=texts, notes_before=texts, notes_after=texts, others=texts)
def test_change_puts_on_and_takes_off_its_own_and_nothing_else(
    before: Texts, after: Texts, notes_before: Texts, notes_after: Texts, others: Texts
) -> None:
    old = record_of(tuple(before.items()), tuple(notes_before.items()))
    new = record_of(tuple(after.items()), tuple(notes_after.items()))
    foreign = {f"other/{key}": value for key, value in others.items()}
    copy = {
        "metadata": {
            "labels": {**before, **foreign},
            "annotations": {**notes_before, **foreign, **({well_known.COPY_METADATA: old} if old else {})},
        }
    }
    changed = jsonpatch.apply_patch(copy, metadata_patch(old, new))["metadata"]
    assert changed["labels"] == {**after, **foreign}
    assert changed["annotations"] == {**notes_after, **foreign, **({well_known.COPY_METADATA: new} if new else {})}
    assert is_intact(new, changed["labels"], changed["annotations"])


def test_label_that_was_taken_off_by_hand_is_put_on_again() -> None:
    usable = content({"team": "a"})
    copy = stored(usable)
    del copy["metadata"]["labels"]["team"]
    kept = copy_from_secret(copy)
    assert not is_current(kept, "pull", usable.content)
    patched = jsonpatch.apply_patch(copy, copy_patch(TARGET, "pull", usable.content, kept))
    assert patched["metadata"]["labels"]["team"] == "a"
    assert is_current(copy_from_secret(patched), "pull", usable.content)


def test_label_that_its_mapping_has_no_more_goes_and_others_stay() -> None:
    copy = stored(content({"team": "a"}), labels={"mine": "x"})
    usable = content()
    kept = copy_from_secret(copy)
    assert not is_current(kept, "pull", usable.content)
    patched = jsonpatch.apply_patch(copy, copy_patch(TARGET, "pull", usable.content, kept))
    assert patched["metadata"]["labels"] == {well_known.MANAGED_BY: "sutler", well_known.MAPPING: "pull", "mine": "x"}
    assert patched["metadata"]["annotations"] == {well_known.COPY: TARGET}
    assert is_current(copy_from_secret(patched), "pull", usable.content)


def test_copy_of_an_older_release_gets_its_labels() -> None:
    copy = stored(content())
    usable = content({"team": "a"}, {"note": "x"})
    patched = jsonpatch.apply_patch(copy, copy_patch(TARGET, "pull", usable.content, copy_from_secret(copy)))
    assert is_current(copy_from_secret(patched), "pull", usable.content)


@pytest.mark.parametrize("record", ["{", "[]", "7", '{"labels":7}', "", "null"])
def test_record_that_is_none_is_empty(record: str) -> None:
    assert parse_record(record) == {}
    assert is_intact(record, {}, {})


@pytest.mark.parametrize(
    ("pull", "problem"),
    [
        ({"labels": {"sutler.dev/mapping": "x"}}, "is set by Sutler itself"),
        ({"labels": {"app.kubernetes.io/managed-by": "x"}}, "is set by Sutler itself"),
        ({"annotations": {"sutler.dev/copy": "x"}}, "is set by Sutler itself"),
        ({"labels": {"a b": "x"}}, "is no key"),
        ({"labels": {"a": "not a value"}}, "can't be one"),
        ({"labels": {"a": 7}}, "can't be one"),
        ({"labels": []}, "must be an object"),
        ({"copies": "Lazy"}, "spec.pullSecret.copies is Eager or OnDemand, not 'Lazy'"),
        ({"copies": "OnDemand", "copyFrom": None}, "without copyFrom nothing is copied"),
    ],
)
def test_mapping_says_what_is_wrong_with_its_copies(pull: Json, problem: str) -> None:
    obj = objects.mapping("pull")
    obj["spec"]["pullSecret"] |= pull
    with pytest.raises(MappingError, match=problem):
        parse_mapping(obj)
