"""Copies on a real API server: made, kept, rotated, removed, and no foreign Secret changed."""

import json
from itertools import count

import pytest

from provisioner.secrets.write_throttle import MOST_WRITES
from sutler.registry.dockerconfig import DOCKERCFG, DOCKERCONFIGJSON
from tests.cluster import SutlerProcess, quickest, wait_for
from tests.secrets import objects
from tests.secrets.conftest import Cluster
from tests.secrets.objects import OWN, auth, config

FIRST, SECOND = config(quay__io=auth("u", "first")), config(quay__io=auth("u", "second"))
PASSWORDS = {"first": {"quay.io": {"auth": auth("u", "first")}}, "second": {"quay.io": {"auth": auth("u", "second")}}}


def test_copies_reach_every_selected_namespace_and_no_other(cluster: Cluster) -> None:
    one, two, other = cluster.namespace("one"), cluster.namespace("two"), cluster.namespace("other", test="no")
    source = cluster.source("source", config(quay__io=auth("u", "p"), ghcr__io=auth("v", "q")))
    mapping = cluster.mapping("pull", copy_from=source)
    ready = cluster.wait_for_reason(mapping, "Synced")
    assert ready["status"] == "True"
    assert ready["namespaces"] == {"selected": 2, "synced": 2}
    for namespace in (one, two):
        copy = cluster.copied(namespace, mapping)
        assert objects.auths(copy) == {"quay.io": {"auth": auth("u", "p")}}
        assert copy["type"] == "kubernetes.io/dockerconfigjson"
        assert copy["metadata"]["labels"] == {
            "app.kubernetes.io/managed-by": "sutler",
            "sutler.dev/mapping": mapping,
        }
    assert cluster.secret(other, mapping) is None
    wait_for(lambda: ("Normal", "Synced") in cluster.events(mapping), "the event")


def test_the_legacy_type_is_copied_as_such(cluster: Cluster) -> None:
    namespace = cluster.namespace("one")
    legacy = config(DOCKERCFG, quay__io=auth("u", "p"))
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", legacy, DOCKERCFG))
    assert cluster.copied(namespace, mapping)["type"] == "kubernetes.io/dockercfg"
    assert cluster.auths(namespace, mapping) == {"quay.io": {"auth": auth("u", "p")}}


def test_rotation_reaches_the_copies_in_place(cluster: Cluster) -> None:
    namespace = cluster.namespace("one")
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", FIRST))
    before = cluster.copied(namespace, mapping)
    cluster.source("source", SECOND)
    wait_for(lambda: cluster.auths(namespace, mapping) == PASSWORDS["second"], "the new password in the copy")
    after = cluster.copied(namespace, mapping)
    assert after["metadata"]["uid"] == before["metadata"]["uid"], "it was deleted and created again"


def test_another_type_recreates_the_copy(cluster: Cluster) -> None:
    namespace = cluster.namespace("one")
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", FIRST))
    before = cluster.copied(namespace, mapping)
    cluster.source("source", config(DOCKERCFG, quay__io=auth("u", "second")), DOCKERCFG)

    def recreated() -> bool:
        found = cluster.secret(namespace, mapping)
        return found is not None and found["type"] == DOCKERCFG

    wait_for(recreated, "a copy of the new type")
    after = cluster.copied(namespace, mapping)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert objects.auths(after) == PASSWORDS["second"]


def test_edited_and_deleted_copies_are_repaired(cluster: Cluster) -> None:
    namespace = cluster.namespace("one")
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", FIRST))
    cluster.copied(namespace, mapping)
    edit = {"data": SECOND | {"extra": "eA=="}, "metadata": {"labels": {"team": "a"}, "annotations": {"note": "x"}}}
    cluster.kubectl("patch", "secret", mapping, "-n", namespace, "-p", json.dumps(edit))

    def repaired() -> bool:
        found = cluster.secret(namespace, mapping)
        return found is not None and found["data"].keys() == FIRST.keys() and objects.auths(found) == PASSWORDS["first"]

    wait_for(repaired, "the edited copy to be repaired")
    kept = cluster.copied(namespace, mapping)["metadata"]
    assert kept["labels"]["team"] == "a", "another one's label was taken off"
    assert kept["annotations"]["note"] == "x"

    cluster.kubectl("delete", "secret", mapping, "-n", namespace)
    wait_for(repaired, "the deleted copy to be made again")


def test_immutable_copy_follows_its_source_all_the_same(cluster: Cluster) -> None:
    namespace = cluster.namespace("one")
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", FIRST))
    cluster.copied(namespace, mapping)
    cluster.kubectl("patch", "secret", mapping, "-n", namespace, "-p", '{"immutable": true}')
    cluster.source("source", SECOND)
    wait_for(lambda: cluster.auths(namespace, mapping) == PASSWORDS["second"], "the new password in the copy")


def test_foreign_secret_is_never_changed_and_is_reported(cluster: Cluster) -> None:
    namespace, free = cluster.namespace("one"), cluster.namespace("two")
    theirs = objects.secret(cluster.name("pull"), config(quay__io=auth("their", "own")), namespace=namespace)
    cluster.kubectl("create", "-f", "-", body=theirs)
    before = cluster.secret(namespace, cluster.name("pull"))
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", FIRST))

    ready = cluster.wait_for_reason(mapping, "Conflict")
    assert ready["status"] == "False"
    assert f"{namespace}/{mapping} exists and is not Sutler's" in ready["message"]
    counts = {"selected": 2, "synced": 1, "lacking": [namespace]}
    wait_for(lambda: cluster.condition(mapping)["namespaces"] == counts, "the other namespace's copy to be counted")
    assert cluster.condition(mapping, "Conflict")["status"] == "True"
    wait_for(lambda: ("Warning", "Conflict") in cluster.events(mapping), "the event")
    assert cluster.auths(free, mapping) == PASSWORDS["first"], "one conflict held up the other namespace"
    cluster.source("source", SECOND)
    wait_for(lambda: cluster.auths(free, mapping) == PASSWORDS["second"], "the rotation elsewhere")
    assert cluster.secret(namespace, mapping) == before

    cluster.kubectl("delete", "secret", mapping, "-n", namespace)
    wait_for(lambda: cluster.auths(namespace, mapping) == PASSWORDS["second"], "the copy in the freed place")
    cluster.wait_for_reason(mapping, "Synced")
    assert cluster.condition(mapping, "Conflict").get("status") is None


def test_foreign_secret_survives_the_mapping(cluster: Cluster) -> None:
    namespace = cluster.namespace("one")
    theirs = objects.secret(cluster.name("pull"), SECOND, namespace=namespace)
    cluster.kubectl("create", "-f", "-", body=theirs)
    before = cluster.secret(namespace, cluster.name("pull"))
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", FIRST))
    cluster.wait_for_reason(mapping, "Conflict")
    cluster.unmap(mapping)
    probe = cluster.mapping("probe", copy_from=cluster.source("source", FIRST))
    cluster.wait_for_reason(probe, "Synced")
    assert cluster.secret(namespace, mapping) == before


def test_copy_that_a_user_copied_on_stays_the_users(cluster: Cluster) -> None:
    """`kubectl get secret -o yaml`, another namespace, `kubectl apply`: labels and all."""
    namespace, elsewhere = cluster.namespace("one"), cluster.namespace("two", test="no")
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", FIRST))
    theirs = cluster.copied(namespace, mapping)
    theirs["metadata"] = {
        "name": mapping,
        "namespace": elsewhere,
        "labels": theirs["metadata"]["labels"],
        "annotations": theirs["metadata"]["annotations"],
    }
    cluster.kubectl("create", "-f", "-", body=theirs)
    cluster.unmap(mapping)
    cluster.gone(namespace, mapping)
    assert cluster.secret(elsewhere, mapping) is not None


def test_new_namespace_has_its_copy_before_a_pod_can_pull(cluster: Cluster) -> None:
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", FIRST))
    cluster.wait_for_reason(mapping, "Synced")
    late = (cluster.namespace(f"late-{number}") for number in count())
    quickest(lambda: cluster.copied(next(late), mapping), within=2)
    made = len(cluster.namespaces)
    # The condition was true before there were namespaces: their number follows.
    wait_for(
        lambda: cluster.wait_for_reason(mapping, "Synced")["namespaces"] == {"selected": made, "synced": made},
        "the status",
    )


def test_copies_follow_labels_and_selectors(cluster: Cluster) -> None:
    one, two = cluster.namespace("one", tier="a"), cluster.namespace("two", tier="b")
    source = cluster.source("source", FIRST)
    tier = {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["a"]}]}
    mapping = cluster.mapping("pull", copy_from=source, selector=cluster.team | tier)
    cluster.copied(one, mapping)
    assert cluster.secret(two, mapping) is None

    cluster.kubectl("label", "namespace", two, "tier=a", "--overwrite")
    cluster.copied(two, mapping)
    cluster.kubectl("label", "namespace", one, "tier-")
    cluster.gone(one, mapping)

    cluster.mapping("pull", copy_from=source)
    cluster.copied(one, mapping)
    cluster.mapping("pull", copy_from=source, selector=cluster.team | {"matchLabels": {"tier": "none"}})
    cluster.gone(one, mapping)
    cluster.gone(two, mapping)


def test_copies_go_with_their_mapping_and_their_name(cluster: Cluster) -> None:
    namespace = cluster.namespace("one")
    source = cluster.source("source", FIRST)
    mapping = cluster.mapping("pull", copy_from=source)
    cluster.copied(namespace, mapping)
    cluster.mapping("pull", copy_from=source, secret=cluster.name("renamed"))
    cluster.copied(namespace, cluster.name("renamed"))
    cluster.gone(namespace, mapping)
    cluster.unmap(mapping)
    cluster.gone(namespace, cluster.name("renamed"))


def test_observing_mapping_leaves_everything_as_it_is(cluster: Cluster) -> None:
    namespace = cluster.namespace("one")
    source = cluster.source("source", FIRST)
    mapping = cluster.mapping("pull", copy_from=source)
    before = cluster.copied(namespace, mapping)
    cluster.mapping("pull", copy_from=source, mode="Observe")
    cluster.wait_for_reason(mapping, "Observing")
    late = cluster.namespace("late")
    cluster.source("source", SECOND)
    wait_for(lambda: cluster.condition(mapping)["namespaces"] == {"selected": 2, "synced": 0}, "a new count")
    assert cluster.secret(namespace, mapping) == before
    assert cluster.secret(late, mapping) is None
    cluster.mapping("pull", copy_from=source)
    cluster.wait_for_reason(mapping, "Synced")
    assert cluster.auths(namespace, mapping) == cluster.auths(late, mapping) == PASSWORDS["second"]


@pytest.mark.parametrize(
    ("broken", "kind", "reason"),
    [
        ({}, DOCKERCONFIGJSON, "SourceMissing"),
        ({".dockerconfigjson": "e30="}, DOCKERCONFIGJSON, "SourceInvalid"),
        ({"password": "eA=="}, "Opaque", "SourceInvalid"),
        (config(ghcr__io=auth("u", "p")), DOCKERCONFIGJSON, "SourceUnusable"),
    ],
)
def test_broken_source_is_reported_and_the_last_good_copies_stay(
    cluster: Cluster, broken: dict[str, str], kind: str, reason: str
) -> None:
    namespace = cluster.namespace("one")
    source = cluster.source("source", FIRST)
    mapping = cluster.mapping("pull", copy_from=source)
    before = cluster.copied(namespace, mapping)
    if broken:
        cluster.source("source", broken, kind)
    else:
        cluster.kubectl("delete", "secret", source, "-n", OWN)
    assert cluster.wait_for_reason(mapping, reason)["status"] == "False"
    wait_for(lambda: ("Warning", reason) in cluster.events(mapping), "the event")
    assert cluster.secret(namespace, mapping) == before
    cluster.source("source", SECOND)
    wait_for(lambda: cluster.auths(namespace, mapping) == PASSWORDS["second"], "the mended source in the copy")
    cluster.wait_for_reason(mapping, "Synced")


def test_impossible_mapping_says_so_and_the_others_work(cluster: Cluster) -> None:
    namespace = cluster.namespace("one")
    source = cluster.source("source", FIRST)
    impossible = cluster.mapping("impossible", copy_from=source, registries=("quay.io/acme/*",))
    mapping = cluster.mapping("pull", copy_from=source)
    cluster.copied(namespace, mapping)
    ready = cluster.wait_for_reason(impossible, "Invalid")
    assert "spec.registries[0]" in ready["message"]
    assert cluster.secret(namespace, impossible) is None


def test_mapping_without_a_source_copies_nothing(cluster: Cluster) -> None:
    namespace = cluster.namespace("one")
    mapping = cluster.mapping("pull", copy_from=None)
    assert cluster.wait_for_reason(mapping, "ReferenceOnly")["status"] == "True"
    assert cluster.secret(namespace, mapping) is None


def test_of_two_mappings_with_one_secret_the_second_waits(cluster: Cluster) -> None:
    namespace = cluster.namespace("one")
    first = cluster.mapping("first", copy_from=cluster.source("a", FIRST), secret=cluster.name("shared"))
    before = cluster.copied(namespace, cluster.name("shared"))
    second = cluster.mapping("second", copy_from=cluster.source("b", SECOND), secret=cluster.name("shared"))
    assert f"belongs to mapping {first}" in cluster.wait_for_reason(second, "Conflict")["message"]
    assert cluster.wait_for_reason(first, "Synced")["status"] == "True"
    cluster.unmap(first)
    wait_for(lambda: cluster.auths(namespace, cluster.name("shared")) == PASSWORDS["second"], "the second one's copy")
    assert cluster.copied(namespace, cluster.name("shared"))["metadata"]["uid"] == before["metadata"]["uid"]
    cluster.wait_for_reason(second, "Synced")


def test_source_under_the_name_of_its_copies_is_not_a_copy(cluster: Cluster) -> None:
    """The own namespace may be selected too: the source serves there as it is."""
    cluster.kubectl("label", "namespace", OWN, f"test={cluster.prefix}", "--overwrite")
    source = cluster.source("pull", FIRST)
    before = cluster.secret(OWN, source)
    mapping = cluster.mapping("pull", copy_from=source)
    assert cluster.wait_for_reason(mapping, "Synced")["namespaces"] == {"selected": 1, "synced": 1}
    cluster.unmap(mapping)
    cluster.wait_for_reason(cluster.mapping("probe", copy_from=source), "Synced")
    assert cluster.secret(OWN, source) == before


def test_quota_is_reported_until_it_is_lifted(cluster: Cluster) -> None:
    namespace = cluster.namespace("one")
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": namespace},
        "spec": {"hard": {"secrets": "0"}},
    }
    cluster.kubectl("create", "-f", "-", body=quota)
    wait_for(
        lambda: cluster.kubectl("get", "quota", "none", "-n", namespace, "-o", "jsonpath={.status.hard.secrets}"),
        "the quota to be enforced",
    )
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", FIRST))
    assert "exceeded quota" in cluster.wait_for_reason(mapping, "CopyFailed")["message"]
    cluster.kubectl("delete", "quota", "none", "-n", namespace)
    cluster.copied(namespace, mapping)
    cluster.wait_for_reason(mapping, "Synced")


def test_copy_that_waits_for_a_finalizer_is_reported_and_created_when_it_is_gone(cluster: Cluster) -> None:
    """And until then left alone: not one of our requests could help."""
    namespace = cluster.namespace("one")
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", FIRST))
    cluster.copied(namespace, mapping)
    held = {"immutable": True, "metadata": {"finalizers": ["example.com/keep"]}}
    cluster.kubectl("patch", "secret", mapping, "-n", namespace, "-p", json.dumps(held))
    cluster.source("source", SECOND)
    ready = cluster.wait_for_reason(mapping, "CopyFailed")
    waits = f"{namespace}/{mapping}: it is being deleted and waits for finalizers example.com/keep"
    assert ready["message"].startswith(waits)
    assert ready["namespaces"] == {"selected": 1, "synced": 0, "lacking": [namespace]}
    cluster.kubectl("patch", "secret", mapping, "-n", namespace, "-p", '{"metadata": {"finalizers": null}}')
    wait_for(lambda: cluster.auths(namespace, mapping) == PASSWORDS["second"], "the new copy")
    cluster.wait_for_reason(mapping, "Synced")
    creates = [line for line in cluster.audited(namespace) if line["verb"] == "create"]
    assert len(creates) <= 4, "no try after try while it was there"


def test_copy_that_was_a_source_goes_when_it_is_one_no_more(cluster: Cluster) -> None:
    """Of a chain of three, whose mappings go in an order in which each copy outlives its mapping."""
    cluster.kubectl("label", "namespace", OWN, f"test={cluster.prefix}", "--overwrite")
    base = cluster.mapping("base", copy_from=cluster.source("source", FIRST))
    cluster.wait_for_reason(base, "Synced")  # a Secret that is a source already is never made
    middle = cluster.mapping("middle", copy_from=base)
    cluster.wait_for_reason(middle, "Synced")
    last = cluster.mapping("last", copy_from=middle)
    cluster.wait_for_reason(last, "Synced")
    cluster.unmap(base)
    cluster.unmap(middle)
    wait_for(
        lambda: not cluster.control_plane.there(f"/apis/sutler.dev/v1alpha1/registrymappings/{base}"),
        "its end",
    )
    assert cluster.secret(OWN, middle), "it is what the last one copies from"
    cluster.unmap(last)
    for copy in (base, middle, last):
        cluster.gone(OWN, copy)


def test_source_of_a_mapping_that_became_impossible_is_kept(cluster: Cluster) -> None:
    """What it copied from may be wanted again as soon as it is mended."""
    cluster.kubectl("label", "namespace", OWN, f"test={cluster.prefix}", "--overwrite")
    base = cluster.mapping("base", copy_from=cluster.source("source", FIRST))
    cluster.wait_for_reason(base, "Synced")  # a Secret that is a source already is never made
    chained = cluster.mapping("chained", copy_from=base)
    cluster.wait_for_reason(chained, "Synced")
    broken = [{"op": "replace", "path": "/spec/registries/0", "value": "quay.io/*"}]
    cluster.kubectl("patch", "registrymapping", chained, "--type=json", "-p", json.dumps(broken))
    cluster.wait_for_reason(chained, "Invalid")
    cluster.unmap(base)
    cluster.wait_for_reason(cluster.mapping("probe", copy_from=cluster.source("other", FIRST)), "Synced")
    assert cluster.secret(OWN, base)


def test_namespace_that_goes_takes_its_copy_along(cluster: Cluster) -> None:
    going, staying = cluster.namespace("going"), cluster.namespace("staying")
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", FIRST))
    cluster.wait_for_reason(mapping, "Synced")
    cluster.kubectl("delete", "namespace", going, "--wait=false")
    cluster.source("source", SECOND)
    wait_for(lambda: cluster.auths(staying, mapping) == PASSWORDS["second"], "the other namespace's rotation")
    wait_for(lambda: cluster.condition(mapping)["namespaces"] == {"selected": 1, "synced": 1}, "a new count")
    wait_for(
        lambda: not cluster.control_plane.there(f"/api/v1/namespaces/{going}"),
        "the namespace to be gone",
        60,
    )
    again = cluster.namespace("going")
    cluster.copied(again, mapping)


def test_no_secret_shows_in_the_log_the_events_or_the_metrics(cluster: Cluster, controller: SutlerProcess) -> None:
    canary = "canary-8472-word"
    cluster.namespace("one")
    hidden = auth("u", canary)
    source = cluster.source("source", config(quay__io=hidden))
    mapping = cluster.mapping("pull", copy_from=source)
    cluster.wait_for_reason(mapping, "Synced")
    cluster.source("source", config(quay__io=canary))
    ready = cluster.wait_for_reason(mapping, "SourceInvalid")
    everything = (
        controller.log_text()
        + controller.probe("metrics")[1]
        + cluster.kubectl("get", "events", "-A", "-o", "json")
        + cluster.kubectl("get", "registrymappings", "-o", "json")
        + ready["message"]
    )
    assert mapping in everything
    for form in (canary, hidden, config(quay__io=hidden)[".dockerconfigjson"]):
        assert form not in everything


def test_fight_over_a_copy_is_reported_and_does_not_keep_the_api_server_busy(cluster: Cluster) -> None:
    """Another controller restores its own content of the Secret after each write of Sutler's."""
    namespace = cluster.namespace("one")
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", FIRST))
    cluster.copied(namespace, mapping)
    theirs = json.dumps({"data": SECOND})

    for _ in range(MOST_WRITES):
        cluster.rotated(namespace, mapping, PASSWORDS["first"])
        cluster.kubectl("patch", "secret", mapping, "-n", namespace, "-p", theirs)
    ready = cluster.wait_for_reason(mapping, "CopyFailed")
    assert "another client changes it again and again" in ready["message"]
    assert cluster.auths(namespace, mapping) == PASSWORDS["second"]
    cluster.source("source", config(quay__io=auth("u", "third")))
    cluster.rotated(namespace, mapping, {"quay.io": {"auth": auth("u", "third")}})
