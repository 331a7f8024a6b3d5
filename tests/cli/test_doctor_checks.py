"""The findings of `sutler doctor`, as tables. Objects are as the API server has them."""

import base64
import json
from datetime import datetime
from typing import Any

import pytest

from sutler.cli.check.cluster_state import ClusterState, parse_failing_pod
from sutler.cli.check.engine import DOCTOR, run_checks
from sutler.cli.check.findings import Finding, Level, exit_code, note, problem, unknown
from sutler.cli.cluster_view import ClusterView, SecretInfo

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


def cluster(
    mappings: list[Json], pods: list[Json], secrets: list[Json] | None = None, there: Places | None = None, **more: Any
) -> ClusterState:
    """A cluster in which all copies exist, except for what `there` and `more` say."""
    view = ClusterView("sutler-system", namespaces={"team": {}})
    for obj in mappings:
        view.add_mapping(obj)
    for obj in secrets or []:
        view.add_secret(obj)
    state = ClusterState(view, mappings=mappings, now=datetime.fromisoformat("2026-01-03T00:00:10Z"))
    state.leases = {"secrets": lease("2026-01-03T00:00:00.000000Z")}
    state.copies = there or {each.secret: {"team": each.name} for each in view.mappings}
    state.failing_pods = [failing for obj in pods if (failing := parse_failing_pod(obj))]
    state.pods = [failing.pod for failing in state.failing_pods]
    for name, value in more.items():
        setattr(state, name, value)
    return state


def lease(renewed: str) -> Json:
    return {"spec": {"holderIdentity": "leader", "renewTime": renewed}}


def doctor(state: ClusterState) -> list[Finding]:
    return run_checks(DOCTOR, state)


def problems(state: ClusterState) -> list[Finding]:
    return [finding for finding in doctor(state) if finding.is_problem]


@pytest.mark.parametrize(
    ("objects", "why", "fix"),
    [
        (([mapping()], [pod()]), "created while the webhook was down", "kubectl replace --force"),
        (([mapping()], [pod(owner="web-5")]), "created while the webhook was down", "kubectl -n team delete pod web"),
        (
            ([mapping(created="2026-01-02T00:00:05Z")], [pod()]),
            "it is older than mapping acme",
            "kubectl -n team get pod web -o yaml | kubectl replace --force -f -",
        ),
        (([], [pod()]), "no mapping matches it", "sutler registry add quay.io/acme --username NAME --password-stdin"),
        (
            ([mapping(registry="quay.io:443/acme")], [pod()]),
            "write quay.io/acme",
            "kubectl edit registrymapping acme",
        ),
        (
            ([mapping(namespaceSelector={"matchLabels": {"team": "b"}})], [pod()]),
            "it does not select namespace team",
            "kubectl label namespace team team=b  # or change its selector: kubectl edit registrymapping acme",
        ),
        (
            ([mapping(mode="Observe")], [pod()]),
            "its mode is Observe",
            """kubectl patch registrymapping acme --type=merge -p '{"spec": {"mode": "Inject"}}'""",
        ),
        (
            ([mapping()], [pod("quay.io/acme/app", "pull")], [secret("pull", "quay.io/acme")]),
            "the registry rejects the credential quay.io/acme of Secret pull (Failed to pull",
            "sutler registry check acme --image quay.io/acme/app",
        ),
        (
            (
                [mapping()],
                [pod("quay.io/acme/app", "pull", message="manifest unknown")],
                [secret("pull", "quay.io/acme")],
            ),
            "quay.io has no such image. Correct its name or tag, or push it (manifest unknown)",
            "kubectl -n team describe pod web",
        ),
        (
            ([mapping()], [pod("quay.io/acme/app", "pull")], [secret("pull", "quay.io/acme/app/")]),
            "mapping acme matches, but no key of its Secret matches",
            "sutler explain",
        ),
        (
            ([mapping()], [pod("quay.io/acme/app", "pull")], [{**secret("pull"), "type": "Opaque"}]),
            "its pull secret pull is unusable: its type is 'Opaque'",
            "kubectl -n team describe secret pull",
        ),
        (([], [pod("Quay.io/Acme/app")]), "an image that cannot be pulled", ""),
    ],
)
def test_pod_that_cannot_pull_is_explained(objects: Any, why: str, fix: str) -> None:
    (found,) = problems(cluster(*objects))
    assert found.what == "Pod team/web"
    assert why in found.why
    assert any(fix in line for line in found.fix) if fix else not found.fix


@pytest.mark.parametrize(
    ("spec", "source", "why", "fix"),
    [
        (
            {},
            MISSING,
            "nor does its source Secret sutler-system/source",
            "sutler registry add quay.io/acme --name acme",
        ),
        (
            {},
            SecretInfo(None, "broken"),
            "has not been copied to this namespace",
            "kubectl describe registrymapping acme",
        ),
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
    state = cluster([mapping(**spec)], [pod("quay.io/acme/app", "pull")])
    state.view.secrets = {("team", "pull"): MISSING, ("sutler-system", "source"): source}
    (found,) = problems(state)
    assert why in found.why
    assert fix in found.fix[0]


def test_missing_pull_secret_of_another_image_is_not_why_a_credential_is_refused() -> None:
    """The kubelet does without one that is missing, and tries what it has."""
    objects = [mapping()], [pod("quay.io/acme/app", "others", "pull")], [secret("pull", "quay.io/acme")]
    state = cluster(*objects)
    state.view.secrets[("team", "others")] = MISSING
    (found,) = problems(state)
    assert "the registry rejects the credential quay.io/acme of Secret pull" in found.why


def test_sentence_ends_with_one_full_stop() -> None:
    assert problem("Mapping acme", "is not ready: no JSON.").as_text() == "PROBLEM  Mapping acme is not ready: no JSON."
    assert note("Mapping acme", "matches no Pod").as_text() == "note     Mapping acme matches no Pod."


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
    (found,) = problems(cluster([], [waiting]))
    assert found.why.startswith(f"cannot pull {image}: ")


def test_pods_of_one_cause_are_one_finding() -> None:
    pods = [pod(owner="web-5", name=f"web-5-{n}") for n in range(100)]
    (found,) = problems(cluster([mapping()], pods))
    assert found.what == "Pod team/web-5-0 (and 99 more of ReplicaSet web-5)"


def test_foreign_text_stays_on_its_line_and_out_of_commands() -> None:
    """Owners' names and kubelets' messages are arbitrary text."""
    hostile = pod(owner="web\n           $ rm -rf ~", message="no\n           $ rm -rf ~")
    (found,) = problems(cluster([mapping()], [hostile]))
    assert not any("rm -rf" in line for line in found.fix)
    assert len(found.as_text().splitlines()) == 1 + len(found.fix)
    (uncovered,) = problems(cluster([], [hostile]))
    assert len(uncovered.as_text().splitlines()) == 1 + len(uncovered.fix)


def test_last_event_has_the_cause_while_the_kubelet_backs_off() -> None:
    waiting = pod(message='Back-off pulling image "quay.io/acme/app"')
    failing = parse_failing_pod(
        waiting, ["quay.io/other: nothing", DENIED, 'Back-off pulling image "quay.io/acme/app"']
    )
    assert failing is not None
    assert failing.failures[0].message == DENIED


def test_long_message_of_a_kubelet_is_cut_at_its_start() -> None:
    """As containerd's, which end with the registry's own answer."""
    steps = ["rpc error: code = Unknown desc", *(f"failed to do step {n} of {'x' * 30}" for n in range(8))]
    message = ": ".join([*steps, "failed with status code [manifests latest]: 401 Unauthorized"])
    (found,) = problems(cluster([], [pod(message=message)]))
    assert found.why.endswith(
        f"(…failed to do step 6 of {'x' * 30}: failed to do step 7 of {'x' * 30}: "
        "failed with status code [manifests latest]: 401 Unauthorized)"
    )


def test_pod_that_has_its_images_is_not_failing() -> None:
    healthy = pod()
    healthy["status"]["containerStatuses"][0]["state"] = {"running": {}}
    assert parse_failing_pod(healthy) is None
    starting = pod()
    starting["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ContainerCreating"}}
    assert parse_failing_pod(starting) is None


def test_healthy_cluster_gives_no_findings() -> None:
    state = cluster([mapping()], [])
    state.pods = [failing.pod for failing in [parse_failing_pod(pod())] if failing]
    assert doctor(state) == []


def test_foreign_secret_that_conflicts_is_named() -> None:
    (found,) = problems(cluster([mapping()], [], there={"pull": {"team": ""}}))
    assert found.what == "Secret team/pull"
    assert "not Sutler's and conflicts with mapping acme" in found.why
    assert found.fix[0].startswith("kubectl -n team describe secret pull"), "its owner may need it"


def test_foreign_secret_where_no_copy_belongs_is_no_finding() -> None:
    other = mapping(namespaceSelector={"matchLabels": {"team": "b"}})
    assert problems(cluster([other], [], there={"pull": {"team": ""}})) == []


def test_copies_that_are_missing_are_counted() -> None:
    state = cluster([mapping()], [], there={"pull": {}})
    state.view.namespaces = {name: {} for name in ("a", "b", "c", "d", "going")}
    state.terminating = {"going"}
    (found,) = problems(state)
    assert found.why == "has no copy of its Secret in 4 of its namespaces: a, b, c and 1 more"


@pytest.mark.parametrize(
    ("more", "what", "why"),
    [
        ({"leases": {}}, "The secrets controller", "does not run"),
        ({"leases": {"secrets": lease("2026-01-02T23:59:00.000000Z")}}, "The secrets controller", "was last seen at"),
        ({"ca_published": False}, "The webhook", "has not published its CA"),
    ],
)
def test_part_of_sutler_that_does_not_run_is_a_problem(more: Json, what: str, why: str) -> None:
    (found,) = problems(cluster([mapping()], [], **more))
    assert found.what == what
    assert why in found.why
    assert found.fix[0].startswith("kubectl -n sutler-system get pods -l app.kubernetes.io/component=")


def test_webhook_that_is_not_registered_is_a_problem() -> None:
    state = cluster([mapping()], [])
    state.view.registered = False
    (found,) = problems(state)
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
    (found,) = problems(cluster([unready(reason, message)], [], there={"pull": there}))
    assert (found.what, found.why) == ("Mapping acme", f"is not ready: {message}")
    assert found.fix[0].startswith(fix)


def test_mapping_whose_place_another_has_names_the_other() -> None:
    late = unready("Conflict", "team/pull belongs to mapping acme", "late")
    (found,) = problems(cluster([mapping(), late], [], there={"pull": {"team": "acme"}}))
    assert found.what == "Mapping late"
    assert "has no copy where mapping acme has one of the same name: team/pull" in found.why


def test_conflict_hides_no_other_cause() -> None:
    state = cluster([unready("Conflict", "a/pull exists")], [], there={"pull": {"a": ""}})
    state.view.namespaces = {"a": {}, "b": {}}
    assert [each.what for each in problems(state)] == ["Secret a/pull", "Mapping acme"]


def test_many_foreign_secrets_are_one_finding() -> None:
    state = cluster([mapping()], [], there={"pull": {f"n{n}": "" for n in range(9)}})
    state.view.namespaces = {f"n{n}": {} for n in range(9)}
    (found,) = problems(state)
    assert found.as_text().startswith(
        "PROBLEM  9 Secrets are not Sutler's and conflict with mapping acme; they are kept"
    )


def test_copies_under_way_are_a_problem_only_after_a_while() -> None:
    (found, _) = doctor(cluster([unready("Copying", "3 of 4")], []))
    assert not found.is_problem
    (found,) = problems(cluster([unready("Copying", "3 of 4", since="2026-01-02T00:00:00Z")], []))
    assert found.why == "is not ready yet: 3 of 4"


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("dial tcp: lookup quay.io on 10.0.0.10:53: no such host", "cannot resolve host quay.io in DNS"),
        ("x509: certificate signed by unknown authority", "does not trust the certificate of quay.io"),
        ("write /var/lib/x: no space left on device", "the disk of the node is full"),
        ("429 Too Many Requests", "allows the node no more pulls for now"),
        ("no match for platform in manifest: not found", "was not built for the platform"),
    ],
)
@pytest.mark.parametrize("covered", [True, False])
def test_credentials_are_not_blamed_for_what_is_not_about_them(message: str, why: str, covered: bool) -> None:
    (found,) = problems(cluster([mapping()] if covered else [], [pod(message=message)]))
    assert why in found.why
    assert found.why.endswith(f"({message})")
    assert found.fix == ("kubectl -n team describe pod web",)
    assert "credential" not in found.why
    assert "secret" not in found.why


def test_pods_of_one_cause_are_one_finding_also_if_their_messages_differ_in_ports() -> None:
    pods = [
        pod(owner="web-5", name=f"web-{n}", message=f"read udp 10.0.0.1:{n}->10.0.0.2:53: lookup quay.io: no such host")
        for n in range(9)
    ]
    (found,) = problems(cluster([], pods))
    assert found.what == "Pod team/web-0 (and 8 more of ReplicaSet web-5)"


def test_message_that_hides_the_cause_is_not_taken_for_a_rejection() -> None:
    hidden = "pull access denied, repository does not exist or may require authorization"
    (found,) = problems(cluster([], [pod(message=hidden)]))
    assert "it does not exist, or it needs a credential" in found.why
    assert found.fix == ("sutler registry add quay.io/acme --username NAME --password-stdin",)
    (found,) = problems(
        cluster([mapping()], [pod("quay.io/acme/app", "pull", message=hidden)], [secret("pull", "quay.io")])
    )
    assert "the registry does not say which" in found.why


@pytest.mark.parametrize("message", ["", "something unknown"])
def test_message_of_unknown_meaning_blames_nothing(message: str) -> None:
    (found,) = problems(cluster([], [pod(message=message)]))
    assert found.fix == ("kubectl -n team describe pod web",)
    assert found.why.endswith(f"({message})" if message else "without a credential")


def test_image_that_may_not_be_pulled_is_explained() -> None:
    never = pod(message='Container image "quay.io/acme/app" is not present with pull policy of Never')
    never["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] = "ErrImageNeverPull"
    never["spec"]["nodeName"] = "n1"
    (found,) = problems(cluster([], [never]))
    assert "imagePullPolicy Never forbids the pull, and node n1 lacks the image or may not use it" in found.why
    (found,) = problems(cluster([mapping()], [never]))
    assert "it lacks pull secret pull of mapping acme" in found.why
    never["spec"]["imagePullSecrets"] = [{"name": "pull"}]
    (found,) = problems(cluster([mapping()], [never], [secret("pull", "quay.io/acme")]))
    assert "Its credential is quay.io/acme of Secret pull. If that is newer than the image on the node" in found.why


@pytest.mark.parametrize("reason", ["ErrImageNeverPull", "SignatureValidationFailed", "RegistryUnavailable"])
def test_pod_is_failing_by_each_reason_of_a_kubelet(reason: str) -> None:
    waiting = pod(message="")
    waiting["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] = reason
    assert parse_failing_pod(waiting)


def test_message_of_a_kubelet_that_backs_off_may_have_the_cause() -> None:
    cause = "dial tcp: lookup quay.io on 10.0.0.10:53: no such host"
    waiting = pod(message=f'Back-off pulling image "quay.io/acme/app": ErrImagePull: {cause}')
    failing = parse_failing_pod(waiting, [DENIED])
    assert failing is not None
    assert failing.failures[0].message == cause


def test_what_may_not_be_read_is_called_unknown() -> None:
    state = cluster([], [pod()], unread=["RegistryMappings"])
    (found,) = problems(state)
    assert "whether a mapping matches it is unknown" in found.why
    assert not any("registry add" in line for line in found.fix)
    unreadable = cluster([mapping()], [pod("quay.io/acme/app", "pull")])
    unreadable.view.secrets["team", "pull"] = SecretInfo(None, "you may not read it", unknown=True)
    (found,) = problems(unreadable)
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
def test_exit_status_differs_for_unknown_fine_and_problem(found: list[Finding], expected: int) -> None:
    assert exit_code(found) == expected


def test_invalid_mapping_says_why() -> None:
    (found,) = problems(cluster([mapping(registry="https://quay.io")], []))
    assert "remove the scheme" in found.why


def test_unused_mapping_is_only_noted() -> None:
    (found,) = doctor(cluster([mapping()], []))
    assert (found.level, found.what) == (Level.NOTE, "Mapping acme")
    assert doctor(cluster([mapping()], [], namespace="team")) == [], "Pods of other namespaces are unknown"


def test_what_could_not_be_read_is_unknown() -> None:
    (found,) = doctor(cluster([], [], unread=["Secrets"]))
    assert (found.level, found.what) == (Level.UNKNOWN, "Secrets")
    assert found.as_json()["level"] == "unknown"
    assert found.as_text().startswith("UNKNOWN  Secrets could not be read")
