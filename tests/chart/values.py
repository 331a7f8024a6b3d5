"""The chart's values: name, meaning, schema and default. Defaults of the manifests are read from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from provisioner.api.settings import ApiSettings
from provisioner.secrets.settings import SecretsSettings
from provisioner.tokens.settings import TokensSettings
from provisioner.volumes.settings import VolumesSettings
from sutler.settings import ProcessSettings
from tests.chart import kinds
from tests.chart.kinds import BOOLEAN, COUNT, NAME, NAME_OR_NONE, TEXT, TEXTS, Json
from tests.chart.objects import IMAGE, MANIFESTS
from tests.chart.slots import SYSTEM_NAMESPACES
from webhook.settings import WebhookSettings

SETTINGS: dict[str, type[ProcessSettings]] = {
    "webhook": WebhookSettings,
    "secrets": SecretsSettings,
    "volumes": VolumesSettings,
    "api": ApiSettings,
    "tokens": TokensSettings,
}
SECTIONS = {
    "image": "Sutler's image. All processes run from it. Push it to a registry of yours, and name it here.",
    "crds": "The kinds RegistryMapping and RegistryToken.",
    "webhook": "The webhook, which injects pull secrets into new Pods.",
    "secrets": "The secrets controller, which copies pull secrets into the namespaces that mappings select.",
    "volumes": "The volumes controller, which creates a Ceph RBD image and a PersistentVolume for each claim.",
    "api": "The REST API for pools and images. It has one replica, because one process runs the changes of an image.",
    "tokens": "The tokens process, which refreshes the passwords of cloud registries. It connects to the internet.",
    "certificates": "The certificates of the webhook and the REST API.",
    "prometheus": "Monitoring by the Prometheus operator.",
    "networkPolicy": "NetworkPolicies that deny all connections but those that Sutler needs.",
    "podDisruptionBudget": "PodDisruptionBudgets, so that a drain evicts one replica at a time. Needs Kubernetes 1.21.",
    "modern": "Features of Kubernetes 1.30 and newer: fewer calls of the webhook, narrower network policies, budgets.",
    "csi": "StorageClasses rbd and rbd-retain, whose volumes ceph-csi's node plugin mounts.",
    "inTree": "StorageClass rbd, whose volumes the kubelet itself mounts. Needs Kubernetes 1.30 or older.",
    "test": "The Pod of `helm test`, which runs `sutler check-install`.",
    "global": "Values that a chart that contains this one shares with it. Sutler reads imagePullSecrets only.",
}
# The manifests give them, or another value does.
_FIXED = {
    *("kubeconfig", "context", "namespace", "probe-host", "probe-port", "host", "port", "url", "service-name"),
    *("certificate-secret", "certificate-dir", "webhook-configuration", "excluded-namespaces"),
    *("ceph-user", "ceph-clusters", "pools-user", "tls-names"),
}


@dataclass(frozen=True)
class Value:
    name: str
    description: str
    schema: Json
    default: Any


def values() -> list[Value]:
    return [*_common(), *(each for name in SETTINGS for each in _process(name)), *_rest()]


def _common() -> Iterator[Value]:
    yield Value("image.registry", "Host of the registry, put before the repository.", TEXT, "")
    yield Value("image.repository", "Name of the image.", {**TEXT, "minLength": 1}, IMAGE["newName"])
    yield Value("image.tag", "Tag of the image. Empty: the version of the chart's application.", kinds.TAG, "latest")
    yield Value("image.digest", "Digest of the image, as in sha256:…; it replaces the tag.", kinds.DIGEST, "")
    policy = kinds.one_of("IfNotPresent", "Always", "Never")
    yield Value("image.pullPolicy", "When the kubelet pulls the image.", policy, "IfNotPresent")
    pull = "Pull secrets of Sutler's own Pods, as in [{name: registry}]. Sutler does not inject into itself."
    yield Value("imagePullSecrets", pull, kinds.PULL_SECRETS, [])
    shared = "Used in addition to imagePullSecrets."
    yield Value("global.imagePullSecrets", shared, {"type": "array"}, [])
    create = "Create the release's namespace with its labels. For `helm template`: `helm install` needs it before."
    yield Value("createNamespace", create, BOOLEAN, False)
    yield Value("crds.enabled", "Install and upgrade them.", BOOLEAN, True)
    keep = "Always true: `helm uninstall` keeps them, because deleting them deletes every mapping."
    yield Value("crds.keep", keep, {"const": True}, True)
    yield Value("nodeSelector", "Labels of the nodes for all Pods.", TEXTS, {})
    yield Value("tolerations", "Tolerations of all Pods.", kinds.TOLERATIONS, [])
    yield Value("affinity", "Affinity of all Pods.", kinds.AFFINITY, {})
    priority = "PriorityClass of all Pods but the REST API's. The chart creates the class sutler. Empty: none."
    yield Value("priorityClassName", priority, NAME_OR_NONE, "sutler")
    yield Value("podAnnotations", "Annotations of all Pods.", TEXTS, {})
    yield Value("podLabels", "Labels of all Pods.", TEXTS, {})
    yield Value("extraEnv", "Environment variables of all processes.", kinds.ENVIRONMENT, [])
    flags = _flags(ProcessSettings)
    yield Value("extraArgs", "Flags of all processes, as in [--log-level=debug].", kinds.flags(flags), [])


def _process(own: str) -> Iterator[Value]:
    deployment = _deployment(own)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    yield Value(f"{own}.enabled", "Install it.", BOOLEAN, own != "tokens")
    if own != "api":
        yield Value(f"{own}.replicaCount", "Number of Pods.", COUNT, deployment["spec"]["replicas"])
    yield from _OWN.get(own, lambda: iter(()))()
    yield Value(f"{own}.resources", "Requests and limits of a Pod.", kinds.RESOURCES, container["resources"])
    yield Value(f"{own}.nodeSelector", "Labels of its nodes, in addition to those for all Pods.", TEXTS, {})
    yield Value(f"{own}.tolerations", "Its tolerations, in addition to those of all Pods.", kinds.TOLERATIONS, [])
    yield Value(f"{own}.affinity", "Its affinity, instead of that of all Pods.", kinds.AFFINITY, {})
    instead = "Its PriorityClass. Empty: none." if own == "api" else "Its PriorityClass, instead of that of all Pods."
    yield Value(f"{own}.priorityClassName", instead, NAME_OR_NONE, "")
    yield Value(f"{own}.podAnnotations", "Annotations of its Pods, in addition to those of all Pods.", TEXTS, {})
    yield Value(f"{own}.podLabels", "Labels of its Pods, in addition to those of all Pods.", TEXTS, {})
    yield Value(f"{own}.serviceAccount.annotations", "Annotations of its ServiceAccount.", TEXTS, {})
    more = "Its environment variables, in addition to those of all processes."
    yield Value(f"{own}.extraEnv", more, kinds.ENVIRONMENT, [])
    flags = kinds.flags(_flags(SETTINGS[own]))
    yield Value(f"{own}.extraArgs", "Its flags (docs/flags.md), in addition to those of all processes.", flags, [])
    yield Value(f"{own}.extraVolumes", "Volumes of its Pods.", kinds.VOLUMES, [])
    yield Value(f"{own}.extraVolumeMounts", "Mounts of these volumes.", kinds.MOUNTS, [])


def _webhook() -> Iterator[Value]:
    policy = (
        "What the API server does with a Pod if no replica answers. Ignore creates it without pull secrets; "
        "Fail rejects it, also while Sutler is upgraded or broken."
    )
    inject, _ = _document("base/webhook-configuration.yaml", "MutatingWebhookConfiguration")["webhooks"]
    yield Value("webhook.failurePolicy", policy, kinds.one_of("Ignore", "Fail"), inject["failurePolicy"])
    wait = "Seconds for which the API server waits for an answer."
    seconds = {"type": "integer", "minimum": 1, "maximum": 30}
    yield Value("webhook.timeoutSeconds", wait, seconds, inject["timeoutSeconds"])
    excluded = (
        "Namespaces whose Pods the webhook never changes, besides Sutler's own. "
        "The label sutler.dev/exclude=true on a namespace does the same."
    )
    yield Value("webhook.excludedNamespaces", excluded, kinds.NAMESPACES, SYSTEM_NAMESPACES.split(","))


def _secrets() -> Iterator[Value]:
    demand = "Grant the permission to list and watch Pods, which mappings with `copies: OnDemand` need."
    yield Value("secrets.copiesOnDemand", demand, BOOLEAN, False)


def _volumes() -> Iterator[Value]:
    secret = "Secret with ceph.conf and keyring, for classes without a clusterID. Empty: none."
    yield Value("volumes.ceph.secretName", secret, NAME_OR_NONE, "sutler-ceph")
    yield Value("volumes.ceph.user", 'The Ceph user, without "client.".', {**TEXT, "minLength": 1}, "sutler")
    clusters = "Secrets by clusterID, as in {east: sutler-ceph-east}, each with userID, userKey and ceph.conf."
    yield Value("volumes.cephClusters", clusters, kinds.CLUSTERS, {})


def _api() -> Iterator[Value]:
    secret = "Secret with ceph.conf and keyring. The REST API starts without it. Empty: none."
    yield Value("api.ceph.secretName", secret, NAME_OR_NONE, "sutler-api-ceph")
    yield Value("api.ceph.user", 'The Ceph user for images, without "client.".', {**TEXT, "minLength": 1}, "sutler-api")
    pools = 'The Ceph user that creates and deletes pools, without "client.". Empty: no pool can be changed.'
    yield Value("api.ceph.poolsUser", pools, TEXT, "")
    yield Value("api.dnsNames", "Names of the certificate, besides those of the Service.", kinds.HOST_NAMES, [])


_OWN = {"webhook": _webhook, "secrets": _secrets, "volumes": _volumes, "api": _api}


def _rest() -> Iterator[Value]:
    source = "sutler: Sutler issues and renews them. cert-manager: cert-manager does, which must be installed before."
    yield Value("certificates.source", source, kinds.one_of("sutler", "cert-manager"), "sutler")
    operator = "Create a PodMonitor and a NetworkPolicy for Prometheus. The operator must be installed before."
    yield Value("prometheus.enabled", operator, BOOLEAN, False)
    labels = (
        "Labels of PodMonitor and PrometheusRule, by which your Prometheus selects them, "
        "as in {release: kube-prometheus-stack}."
    )
    yield Value("prometheus.labels", labels, TEXTS, {})
    yield Value("prometheus.rules.enabled", "With Prometheus: create the alerts.", BOOLEAN, True)
    dashboard = "With Prometheus: create the ConfigMap with Grafana's dashboard."
    yield Value("prometheus.dashboard.enabled", dashboard, BOOLEAN, True)
    yield Value("networkPolicy.enabled", "Create them.", BOOLEAN, True)
    egress = _document("base/network.yaml", "NetworkPolicy", "sutler-to-api-server")["spec"]["egress"]
    ports = [each["port"] for each in egress[0]["ports"]]
    yield Value("networkPolicy.apiServerPorts", "Ports of your API servers.", kinds.PORTS, ports)
    for name in ("podDisruptionBudget", "modern", "csi"):
        yield Value(f"{name}.enabled", "Create them." if name != "modern" else "Use them.", BOOLEAN, False)
    yield Value("csi.clusterID", "The cluster's id in ceph-csi's ConfigMap.", {**TEXT, "minLength": 1}, "ceph")
    yield from _class("csi")
    yield Value("inTree.enabled", "Create it.", BOOLEAN, False)
    yield Value("inTree.user", 'Ceph user of the nodes, without "client.".', {**TEXT, "minLength": 1}, "rbd-node")
    yield from _class("inTree")
    tried = (
        "Namespace in which the test tries a Pod as a dry run. During the test, its account can create Pods there. "
        "Empty: the test tries no Pod."
    )
    yield Value("test.namespace", tried, {"type": "string", "pattern": f"^({kinds.LABEL})?$"}, "")


def _class(values: str) -> Iterator[Value]:
    yield Value(f"{values}.pool", "Pool of the images.", {**TEXT, "minLength": 1}, "rbd")
    secret = "Secret in Sutler's namespace with which the nodes map the images."
    yield Value(f"{values}.nodeStageSecret", secret, NAME, "rbd-node")


def _flags(settings: type[ProcessSettings]) -> list[str]:
    names = [name.replace("_", "-") for name in settings.model_fields]
    return [name for name in names if name not in _FIXED]


def _deployment(own: str) -> Json:
    path = "components/tokens/deployment.yaml" if own == "tokens" else f"base/{own}.yaml"
    return _document(path, "Deployment")


def _document(path: str, kind: str, name: str = "") -> Json:
    found = [one for one in yaml.safe_load_all((MANIFESTS / path).read_text()) if one["kind"] == kind]
    (document,) = [one for one in found if name in {"", one["metadata"]["name"]}]
    result: Json = document
    return result
