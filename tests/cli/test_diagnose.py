"""What the doctor makes of what it sees, as tables. Objects are as the API server shows them."""

import base64
import json
from typing import Any

import pytest

from sutler.cli.cluster_view import ClusterView, SecretInfo
from sutler.cli.doctor.cluster_state import ClusterState, read_patient
from sutler.cli.doctor.diagnose import diagnose
from sutler.cli.doctor.findings import Finding, note, problem, status, unknown

Json = dict[str, Any]
MISSING = SecretInfo(None, "it does not exist", missing=True)
DENIED = 'Failed to pull image "quay.io/acme/app": rpc error: unexpected status: 401 Unauthorized'


def mapping(
    name: str = "acme", registry: str = "quay.io/acme", created: str = "2026-01-01T00:00:00Z", **spec: Any
) -> Json:
    whole = {
        "registries": [registry],
        "pullSecret": {"name": "pull", "copyFrom": "source"},
        "namespaceSelector": {},
        **spec,
    }
    return {"metadata": {"name": name, "creationTimestamp": created}, "spec": whole, "status": {}}


def pod(
    image: str = "quay.io/acme/app", *secrets: str, owner: str = "", name: str = "web", message: str = DENIED
) -> Json:
    metadata = {"name": name, "namespace": "team", "uid": name, "creationTimestamp": "2026-01-02T00:00:00Z"}
    owners = [{"kind": "ReplicaSet", "name": owner, "controller": True}] if owner else []
    waiting = {"reason": "ErrImagePull", "message": message}
    return {
        "kind": "Pod",
        "metadata": {**metadata, "ownerReferences": owners},
        "spec": {
            "containers": [{"name": "c", "image": image}],
            "imagePullSecrets": [{"name": each} for each in secrets],
        },
        "status": {"phase": "Pending", "containerStatuses": [{"name": "c", "state": {"waiting": waiting}}]},
    }


def secret(name: str, *keys: str, namespace: str = "team") -> Json:
    config = json.dumps({"auths": {key: {"auth": "YTpi"} for key in keys}})
    data = {".dockerconfigjson": base64.b64encode(config.encode()).decode()}
    metadata = {"name": name, "namespace": namespace}
    return {"metadata": metadata, "type": "kubernetes.io/dockerconfigjson", "data": data}


Places = dict[str, dict[str, str]]


def seen(
    mappings: list[Json], pods: list[Json], secrets: list[Json] | None = None, there: Places | None = None, **more: Any
) -> ClusterState:
    """A cluster in which the copies are where they belong, but for what `there` and `more` say."""
    world = ClusterView("sutler-system", namespaces={"team": {}})
    for obj in mappings:
        world.add_mapping(obj)
    for obj in secrets or []:
        world.add_secret(obj)
    snapshot = ClusterState(world, mappings, now="2026-01-03T00:00:10Z", copier_seen="2026-01-03T00:00:00.000000Z")
    snapshot.secrets = there or {each.secret: {"team": each.name} for each in world.mappings}
    snapshot.patients = [patient for obj in pods if (patient := read_patient(obj))]
    snapshot.pods = [patient.pod for patient in snapshot.patients]
    for name, value in more.items():
        setattr(snapshot, name, value)
    return snapshot


def problems(snapshot: ClusterState) -> list[Finding]:
    return [finding for finding in diagnose(snapshot) if finding.harmful]


@pytest.mark.parametrize(
    ("objects", "why", "fix"),
    [
        (([mapping()], [pod()]), "created while the webhook was away", "kubectl replace --force"),
        (([mapping()], [pod(owner="web-5")]), "created while the webhook was away", "kubectl -n team delete pod web"),
        (
            ([mapping(created="2026-01-02T00:00:05Z")], [pod()]),
            "it is older than mapping acme",
            "kubectl -n team get pod web -o yaml | kubectl replace --force -f -",
        ),
        (([], [pod()]), "no mapping is for it", "sutler registry add quay.io/acme --username NAME --password-stdin"),
        (
            ([mapping(registry="quay.io:443/acme")], [pod()]),
            "write quay.io/acme",
            "kubectl edit registrymapping acme",
        ),
        (
            ([mapping(namespaceSelector={"matchLabels": {"team": "b"}})], [pod()]),
            "it does not select namespace team",
            "kubectl label namespace team team=b  # or let it select others: kubectl edit registrymapping acme",
        ),
        (
            ([mapping(mode="Observe")], [pod()]),
            "its mode is Observe",
            """kubectl patch registrymapping acme --type=merge -p '{"spec": {"mode": "Inject"}}'""",
        ),
        (
            ([mapping()], [pod("quay.io/acme/app", "pull")], [secret("pull", "quay.io/acme")]),
            "the registry refuses the credential quay.io/acme of Secret pull (Failed to pull",
            "sutler registry check acme --image quay.io/acme/app",
        ),
        (
            (
                [mapping()],
                [pod("quay.io/acme/app", "pull", message="manifest unknown")],
                [secret("pull", "quay.io/acme")],
            ),
            "quay.io says that it has no such image. Correct its name or tag, or push it (manifest unknown)",
            "kubectl -n team describe pod web",
        ),
        (
            ([mapping()], [pod("quay.io/acme/app", "pull")], [secret("pull", "quay.io/acme/app/")]),
            "mapping acme matches, but no key of its Secret does",
            "sutler explain",
        ),
        (
            ([mapping()], [pod("quay.io/acme/app", "pull")], [{**secret("pull"), "type": "Opaque"}]),
            "its pull secret pull can't be used: its type is 'Opaque'",
            "kubectl -n team describe secret pull",
        ),
        (([], [pod("Quay.io/Acme/app")]), "an image that can't be pulled", ""),
    ],
)
def test_pod_that_cannot_pull_is_explained(objects: Any, why: str, fix: str) -> None:
    (found,) = problems(seen(*objects))
    assert found.what == "Pod team/web"
    assert why in found.why
    assert any(fix in line for line in found.fix) if fix else not found.fix


@pytest.mark.parametrize(
    ("spec", "source", "why", "fix"),
    [
        ({}, MISSING, "nor does its source sutler-system/source", "sutler registry add quay.io/acme --name acme"),
        ({}, SecretInfo(None, "broken"), "has not been copied here", "kubectl describe registrymapping acme"),
        (
            {"pullSecret": {"name": "pull"}},
            MISSING,
            "mapping acme copies none",
            "kubectl describe registrymapping acme",
        ),
    ],
)
def test_pull_secret_that_is_missing_is_traced_to_its_source(
    spec: Json, source: SecretInfo, why: str, fix: str
) -> None:
    snapshot = seen([mapping(**spec)], [pod("quay.io/acme/app", "pull")])
    snapshot.world.secrets = {("team", "pull"): MISSING, ("sutler-system", "source"): source}
    (found,) = problems(snapshot)
    assert why in found.why
    assert fix in found.fix[0]


def test_missing_pull_secret_of_another_image_is_not_why_a_credential_is_refused() -> None:
    """The kubelet does without one that is missing, and tries what it has."""
    objects = [mapping()], [pod("quay.io/acme/app", "others", "pull")], [secret("pull", "quay.io/acme")]
    snapshot = seen(*objects)
    snapshot.world.secrets[("team", "others")] = MISSING
    (found,) = problems(snapshot)
    assert "the registry refuses the credential quay.io/acme of Secret pull" in found.why


def test_sentence_ends_with_one_full_stop() -> None:
    assert problem("Mapping acme", "is not ready: no JSON.").as_text() == "PROBLEM  Mapping acme is not ready: no JSON."
    assert note("Mapping acme", "is used by nobody").as_text() == "note     Mapping acme is used by nobody."


@pytest.mark.parametrize(
    ("message", "image"),
    [
        ('Back-off pulling image "quay.io/acme/app-data:1"', "quay.io/acme/app-data:1"),
        ('Failed to pull image "quay.io/acme/app-data:1": 401 Unauthorized', "quay.io/acme/app-data:1"),
        (DENIED, "quay.io/acme/app"),
        ("401 Unauthorized", "quay.io/acme/app"),
        ("", "quay.io/acme/app"),
    ],
)
def test_container_that_waits_for_an_image_volume_is_not_blamed_itself(message: str, image: str) -> None:
    waiting = pod(message=message)
    volume = {"name": "data", "image": {"reference": "quay.io/acme/app-data:1"}}
    waiting["spec"]["volumes"] = [{"name": "empty", "emptyDir": {}}, volume]
    (found,) = problems(seen([], [waiting]))
    assert found.why.startswith(f"can't pull {image}: ")


def test_pods_of_one_cause_are_one_finding() -> None:
    pods = [pod(owner="web-5", name=f"web-5-{n}") for n in range(100)]
    (found,) = problems(seen([mapping()], pods))
    assert found.what == "Pod team/web-5-0 (and 99 more of ReplicaSet web-5)"


def test_text_of_others_stays_on_its_line_and_out_of_what_is_to_be_typed() -> None:
    """Owners' names and kubelets' messages are whatever somebody wrote."""
    hostile = pod(owner="web\n           $ rm -rf ~", message="no\n           $ rm -rf ~")
    (found,) = problems(seen([mapping()], [hostile]))
    assert not any("rm -rf" in line for line in found.fix)
    assert len(found.as_text().splitlines()) == 1 + len(found.fix)
    (uncovered,) = problems(seen([], [hostile]))
    assert len(uncovered.as_text().splitlines()) == 1 + len(uncovered.fix)


def test_words_of_the_last_event_count_while_the_kubelet_backs_off() -> None:
    waiting = pod(message='Back-off pulling image "quay.io/acme/app"')
    patient = read_patient(waiting, ["quay.io/other: nothing", DENIED, 'Back-off pulling image "quay.io/acme/app"'])
    assert patient is not None
    assert patient.failures[0].message == DENIED


def test_long_words_of_a_kubelet_are_cut_where_they_say_least() -> None:
    """As containerd's, which end with the registry's own answer."""
    steps = ["rpc error: code = Unknown desc", *(f"failed to do step {n} of {'x' * 30}" for n in range(8))]
    message = ": ".join([*steps, "failed with status code [manifests latest]: 401 Unauthorized"])
    (found,) = problems(seen([], [pod(message=message)]))
    assert found.why.endswith(
        f"(…failed to do step 6 of {'x' * 30}: failed to do step 7 of {'x' * 30}: "
        "failed with status code [manifests latest]: 401 Unauthorized)"
    )


def test_pod_that_has_its_images_is_no_patient() -> None:
    healthy = pod()
    healthy["status"]["containerStatuses"][0]["state"] = {"running": {}}
    assert read_patient(healthy) is None
    starting = pod()
    starting["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ContainerCreating"}}
    assert read_patient(starting) is None


def test_healthy_cluster_gives_no_findings() -> None:
    snapshot = seen([mapping()], [])
    snapshot.pods = [patient.pod for patient in [read_patient(pod())] if patient]
    assert diagnose(snapshot) == []


def test_foreign_secret_in_the_way_is_named() -> None:
    (found,) = problems(seen([mapping()], [], there={"pull": {"team": ""}}))
    assert found.what == "Secret team/pull"
    assert "not Sutler's and in the way of mapping acme" in found.why
    assert found.fix[0].startswith("kubectl -n team describe secret pull"), "its owner may need it"


def test_foreign_secret_where_no_copy_belongs_is_nobodys_business() -> None:
    other = mapping(namespaceSelector={"matchLabels": {"team": "b"}})
    assert problems(seen([other], [], there={"pull": {"team": ""}})) == []


def test_copies_that_are_missing_are_counted() -> None:
    snapshot = seen([mapping()], [], there={"pull": {}})
    snapshot.world.namespaces = {name: {} for name in ("a", "b", "c", "d", "going")}
    snapshot.terminating = {"going"}
    (found,) = problems(snapshot)
    assert found.why == "has no copy of its Secret in 4 of its namespaces: a, b, c and 1 more"


@pytest.mark.parametrize(
    ("more", "what", "why"),
    [
        ({"copier_seen": ""}, "The secrets controller", "does not run"),
        ({"copier_seen": "2026-01-02T23:59:00.000000Z"}, "The secrets controller", "was last seen at"),
        ({"trusted": False}, "The webhook", "has not published its CA"),
    ],
)
def test_part_of_sutler_that_does_not_run_is_a_problem(more: Json, what: str, why: str) -> None:
    (found,) = problems(seen([mapping()], [], **more))
    assert found.what == what
    assert why in found.why
    assert found.fix[0].startswith("kubectl -n sutler-system get pods -l app.kubernetes.io/component=")


def test_webhook_that_is_not_registered_is_a_problem() -> None:
    snapshot = seen([mapping()], [])
    snapshot.world.registered = False
    (found,) = problems(snapshot)
    assert "no Pod gets a pull secret" in found.why


def unready(reason: str, message: str, name: str = "acme", since: str = "2026-01-03T00:00:05Z", **spec: Any) -> Json:
    condition = {"type": "Ready", "status": "False", "reason": reason, "message": message, "lastTransitionTime": since}
    return {**mapping(name, **spec), "status": {"conditions": [condition]}}


QUOTA = 'team/pull: secrets "pull" is forbidden: exceeded quota: small'


@pytest.mark.parametrize(
    ("reason", "message", "there", "fix"),
    [
        ("SourceInvalid", "no JSON", {"team": "acme"}, "kubectl -n sutler-system get secrets"),
        ("SourceMissing", "it is not there", {}, "kubectl -n sutler-system get secrets"),
        ("CopyFailed", QUOTA, {}, "kubectl -n team describe resourcequota"),
        ("CopyFailed", "team/pull is being deleted and waits for finalizer a/b", {}, "kubectl -n team get secret pull"),
        ("CopyFailed", "other/pull: no", {"team": "acme"}, "kubectl describe registrymapping acme"),
        ("Conflict", "sutler-system/pull is a source", {"team": "acme"}, "kubectl describe registrymapping acme"),
    ],
)
def test_mapping_that_is_not_ready_says_why_once(reason: str, message: str, there: dict[str, str], fix: str) -> None:
    (found,) = problems(seen([unready(reason, message)], [], there={"pull": there}))
    assert (found.what, found.why) == ("Mapping acme", f"is not ready: {message}")
    assert found.fix[0].startswith(fix)


def test_mapping_whose_place_another_has_names_the_other() -> None:
    late = unready("Conflict", "team/pull belongs to mapping acme", "late")
    (found,) = problems(seen([mapping(), late], [], there={"pull": {"team": "acme"}}))
    assert found.what == "Mapping late"
    assert "has no copy of its own where mapping acme has one: team/pull" in found.why


def test_conflict_hides_no_other_cause() -> None:
    snapshot = seen([unready("Conflict", "a/pull exists")], [], there={"pull": {"a": ""}})
    snapshot.world.namespaces = {"a": {}, "b": {}}
    assert [each.what for each in problems(snapshot)] == ["Secret a/pull", "Mapping acme"]


def test_many_foreign_secrets_are_one_finding() -> None:
    snapshot = seen([mapping()], [], there={"pull": {f"n{n}": "" for n in range(9)}})
    snapshot.world.namespaces = {f"n{n}": {} for n in range(9)}
    (found,) = problems(snapshot)
    assert found.as_text().startswith("PROBLEM  9 Secrets are not Sutler's and in the way of mapping acme; they stay")


def test_copies_under_way_are_a_problem_only_after_a_while() -> None:
    (found, _) = diagnose(seen([unready("Copying", "3 of 4")], []))
    assert not found.harmful
    (found,) = problems(seen([unready("Copying", "3 of 4", since="2026-01-02T00:00:00Z")], []))
    assert found.why == "is not ready yet: 3 of 4"


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("dial tcp: lookup quay.io on 10.0.0.10:53: no such host", "does not find host quay.io in DNS"),
        ("x509: certificate signed by unknown authority", "does not trust the certificate of quay.io"),
        ("write /var/lib/x: no space left on device", "the disk of the node is full"),
        ("429 Too Many Requests", "allows the node no more pulls for now"),
        ("no match for platform in manifest: not found", "was not built for the platform"),
    ],
)
@pytest.mark.parametrize("covered", [True, False])
def test_credentials_are_not_blamed_for_what_is_not_about_them(message: str, why: str, covered: bool) -> None:
    (found,) = problems(seen([mapping()] if covered else [], [pod(message=message)]))
    assert why in found.why
    assert found.why.endswith(f"({message})")
    assert found.fix == ("kubectl -n team describe pod web",)
    assert "credential" not in found.why
    assert "secret" not in found.why


def test_pods_of_one_cause_are_one_finding_whatever_ports_their_messages_name() -> None:
    pods = [
        pod(owner="web-5", name=f"web-{n}", message=f"read udp 10.0.0.1:{n}->10.0.0.2:53: lookup quay.io: no such host")
        for n in range(9)
    ]
    (found,) = problems(seen([], pods))
    assert found.what == "Pod team/web-0 (and 8 more of ReplicaSet web-5)"


def test_words_that_hide_the_cause_are_not_taken_for_a_refusal() -> None:
    hidden = "pull access denied, repository does not exist or may require authorization"
    (found,) = problems(seen([], [pod(message=hidden)]))
    assert "there is no such image, or it needs a credential" in found.why
    assert found.fix == ("sutler registry add quay.io/acme --username NAME --password-stdin",)
    (found,) = problems(
        seen([mapping()], [pod("quay.io/acme/app", "pull", message=hidden)], [secret("pull", "quay.io")])
    )
    assert "it does not tell which" in found.why


@pytest.mark.parametrize("message", ["", "something that was never heard of"])
def test_words_that_tell_nothing_blame_nothing(message: str) -> None:
    (found,) = problems(seen([], [pod(message=message)]))
    assert found.fix == ("kubectl -n team describe pod web",)
    assert found.why.endswith(f"({message})" if message else "without a credential")


def test_image_that_may_not_be_pulled_is_explained() -> None:
    never = pod(message='Container image "quay.io/acme/app" is not present with pull policy of Never')
    never["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] = "ErrImageNeverPull"
    never["spec"]["nodeName"] = "n1"
    (found,) = problems(seen([], [never]))
    assert "imagePullPolicy Never forbids the pull, and node n1 lacks the image or may not use it" in found.why
    (found,) = problems(seen([mapping()], [never]))
    assert "it lacks pull secret pull of mapping acme" in found.why
    never["spec"]["imagePullSecrets"] = [{"name": "pull"}]
    (found,) = problems(seen([mapping()], [never], [secret("pull", "quay.io/acme")]))
    assert "Its credential is quay.io/acme of Secret pull: if that is newer than the image on the node" in found.why


@pytest.mark.parametrize("reason", ["ErrImageNeverPull", "SignatureValidationFailed", "RegistryUnavailable"])
def test_each_reason_of_a_kubelet_makes_a_patient(reason: str) -> None:
    waiting = pod(message="")
    waiting["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] = reason
    assert read_patient(waiting)


def test_words_of_a_kubelet_that_backs_off_may_hold_the_cause() -> None:
    cause = "dial tcp: lookup quay.io on 10.0.0.10:53: no such host"
    waiting = pod(message=f'Back-off pulling image "quay.io/acme/app": ErrImagePull: {cause}')
    patient = read_patient(waiting, [DENIED])
    assert patient is not None
    assert patient.failures[0].message == cause


def test_what_may_not_be_read_is_called_unknown() -> None:
    snapshot = seen([], [pod()], mappings_seen=False, unseen=["RegistryMappings"])
    (found,) = problems(snapshot)
    assert "whether a mapping is for it is unknown" in found.why
    assert not any("registry add" in line for line in found.fix)
    unread = seen([mapping()], [pod("quay.io/acme/app", "pull")])
    unread.world.secrets["team", "pull"] = SecretInfo(None, "you may not read it", unknown=True)
    (found,) = problems(unread)
    assert "whether its pull secret pull has a credential for it is unknown" in found.why


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], 0),
        ([note("a", "b")], 0),
        ([unknown("a", "b")], 3),
        ([unknown("a", "b"), problem("a", "b")], 1),
    ],
)
def test_exit_status_tells_unknown_from_fine_and_from_amiss(found: list[Finding], expected: int) -> None:
    assert status(found) == expected


def test_mapping_that_cannot_be_used_says_why() -> None:
    (found,) = problems(seen([mapping(registry="https://quay.io")], []))
    assert "remove the scheme" in found.why


def test_mapping_that_nobody_uses_is_noted_and_harmless() -> None:
    (found,) = diagnose(seen([mapping()], []))
    assert (found.harmful, found.what) == (False, "Mapping acme")
    assert diagnose(seen([mapping()], [], namespace="team")) == [], "of one namespace one can't say"


def test_what_could_not_be_looked_at_is_unknown() -> None:
    (found,) = diagnose(seen([], [], unseen=["Secrets"]))
    assert (found.harmful, found.unknown, found.what) == (False, True, "Secrets")
    assert found.as_json()["level"] == "unknown"
    assert found.as_text().startswith("UNKNOWN  Secrets could not be looked at")
