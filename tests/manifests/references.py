"""References between objects of the manifests, and which of them have no target. Pure: no I/O."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.manifests.rendered import Json, container, of, place, selected

USER_SECRETS = {"sutler-ceph", "sutler-api-ceph"}
"""The Secrets that users create by the installation guide."""


@dataclass(frozen=True)
class ReferenceTargets:
    objects: list[Json]
    existing: set[tuple[str, str, str]]
    secrets: set[str]
    """Names of Secrets that are in the manifests, that a Certificate creates, or that users create."""


def dangling(objects: list[Json]) -> list[str]:
    """Return each reference of these objects whose target is in none of them."""
    existing = {place(one) for one in objects}
    made = {one["spec"]["secretName"] for one in of(objects, "Certificate")}
    targets = ReferenceTargets(
        objects, existing, {name for kind, _, name in existing if kind == "Secret"} | made | USER_SECRETS
    )
    return [
        f"{place(one)} {what}" for one in objects if one["kind"] in _NAMED for what in _NAMED[one["kind"]](one, targets)
    ]


def _binding(one: Json, targets: ReferenceTargets) -> Iterator[str]:
    own = one["metadata"].get("namespace", "")
    wanted = [(one["roleRef"]["kind"], own, one["roleRef"]["name"])]
    wanted += [(subject["kind"], subject["namespace"], subject["name"]) for subject in one["subjects"]]
    yield from (str(each) for each in wanted if each not in targets.existing)


def _role(one: Json, targets: ReferenceTargets) -> Iterator[str]:
    named = [rule.get("resourceNames", []) for rule in one["rules"] if rule["resources"] == ["secrets"]]
    yield from (f"Secret {name}" for names in named for name in names if name not in targets.secrets)


def _deployment(one: Json, targets: ReferenceTargets) -> Iterator[str]:
    spec = one["spec"]["template"]["spec"]
    wanted = [("ServiceAccount", one["metadata"]["namespace"], spec["serviceAccountName"])]
    if "priorityClassName" in spec:
        wanted.append(("PriorityClass", "", spec["priorityClassName"]))
    yield from (str(each) for each in wanted if each not in targets.existing)
    volumes = {volume["name"]: volume.get("secret", {}).get("secretName") for volume in spec.get("volumes", [])}
    yield from (f"Secret {name}" for name in volumes.values() if name and name not in targets.secrets)
    mounts = {mount["name"] for mount in container(one["spec"]["template"]).get("volumeMounts", [])}
    yield from (f"volume {name}" for name in volumes.keys() ^ mounts)


def _service(one: Json, targets: ReferenceTargets) -> Iterator[str]:
    pods = selected(targets.objects, one["spec"]["selector"])
    if len(pods) != 1:
        yield f"selects the Pods of {len(pods)} Deployments"
    ports = [port["targetPort"] for port in one["spec"]["ports"]]
    yield from (f"port {port}" for pod in pods for port in ports if port not in _ports(pod))


def _configuration(one: Json, targets: ReferenceTargets) -> Iterator[str]:
    injected = one["metadata"].get("annotations", {}).get("cert-manager.io/inject-ca-from")
    certificates = {"/".join(place(each)[1:]): each["spec"]["dnsNames"] for each in _leaves(targets)}
    for called in (webhook["clientConfig"]["service"] for webhook in one["webhooks"]):
        where = (called["namespace"], called["name"])
        services = [each for each in of(targets.objects, "Service") if place(each)[1:] == where]
        if not any(port["port"] == called["port"] for each in services for port in each["spec"]["ports"]):
            yield f"Service {called['name']}:{called['port']}"
        host = f"{called['name']}.{called['namespace']}.svc"
        if injected and host not in certificates.get(injected, []):
            yield f"Certificate {injected} for {host}"


def _selector(one: Json, targets: ReferenceTargets) -> Iterator[str]:
    selector = one["spec"].get("podSelector") or one["spec"].get("selector", {})
    if not selected(targets.objects, selector.get("matchLabels", {})):
        yield f"selects no Pod by {selector}"


def _policy(one: Json, targets: ReferenceTargets) -> Iterator[str]:
    yield from _selector(one, targets)
    ports = [port["port"] for rule in one["spec"].get("ingress", []) for port in rule.get("ports", [])]
    pods = selected(targets.objects, one["spec"]["podSelector"].get("matchLabels", {}))
    yield from (f"port {port}" for port in ports for pod in pods if port not in _ports(pod))


def _monitor(one: Json, targets: ReferenceTargets) -> Iterator[str]:
    yield from _selector(one, targets)
    ports = [endpoint["port"] for endpoint in one["spec"]["podMetricsEndpoints"]]
    pods = selected(targets.objects, one["spec"]["selector"]["matchLabels"])
    yield from (f"port {port}" for port in ports for pod in pods if port not in _ports(pod))


def _certificate(one: Json, targets: ReferenceTargets) -> Iterator[str]:
    issuer = ("Issuer", one["metadata"]["namespace"], one["spec"]["issuerRef"]["name"])
    if issuer not in targets.existing:
        yield str(issuer)


def _issuer(one: Json, targets: ReferenceTargets) -> Iterator[str]:
    secret = one["spec"].get("ca", {}).get("secretName")
    if secret is not None and secret not in targets.secrets:
        yield f"Secret {secret}"


def _leaves(targets: ReferenceTargets) -> list[Json]:
    return [one for one in of(targets.objects, "Certificate") if "dnsNames" in one["spec"]]


def _ports(pod: Json) -> set[str]:
    return {port["name"] for port in container(pod)["ports"]}


_NAMED: dict[str, Callable[[Json, ReferenceTargets], Iterator[str]]] = {
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "Role": _role,
    "ClusterRole": _role,
    "Deployment": _deployment,
    "Service": _service,
    "MutatingWebhookConfiguration": _configuration,
    "NetworkPolicy": _policy,
    "PodDisruptionBudget": _selector,
    "PodMonitor": _monitor,
    "Certificate": _certificate,
    "Issuer": _issuer,
}
