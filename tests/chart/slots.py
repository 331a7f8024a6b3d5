"""Where the chart's values go in the objects of the manifests. Pure: no I/O."""

from collections.abc import Callable, Iterable

from tests.chart.objects import CERT_MANAGER, PROCESSES, ChartObject
from tests.chart.tree import ADDED, Block, Field, Inline, Map, Seq, negated

SYSTEM_NAMESPACES = "kube-system,kube-node-lease"
"""The default of `webhook.excludedNamespaces`, which is also the process's own."""
CLUSTERS = "/etc/sutler/clusters"


def fill(found: Iterable[ChartObject]) -> None:
    """Put the values into the objects."""
    for one in found:
        kind, _, name = one.place
        if kind == "NetworkPolicy":
            one.conditions.append(".Values.networkPolicy.enabled")
        for slot in (_BY_KIND.get(kind), _BY_PLACE.get((kind, name)), _BY_FILE.get(one.file)):
            if slot:
                slot(one)


def _namespace(one: ChartObject) -> None:
    one.conditions.append(".Values.createNamespace")
    _keep(one)


def _keep(one: ChartObject) -> None:
    """Helm never deletes the object."""
    one.tree["metadata"].get("annotations", Map([])).put("helm.sh/resource-policy", "keep")


def _crd(one: ChartObject) -> None:
    one.conditions.append(".Values.crds.enabled")
    _keep(one)


def _account(one: ChartObject) -> None:
    own = one.place[2].removeprefix("sutler-")
    _map_of(one.tree["metadata"], "annotations", f".Values.{own}.serviceAccount.annotations")


def _map_of(node: Map, key: str, values: str) -> None:
    node.put(key, Block(f"{{{{- toYaml {values} | nindent INDENT }}}}"), values)


def _labels(one: ChartObject) -> None:
    one.tree["metadata"]["labels"].fields.append(
        _lines("toYaml .Values.prometheus.labels", ".Values.prometheus.labels")
    )


def _lines(expression: str, condition: str = "") -> Field:
    """Lines of YAML that an expression gives, if the condition holds."""
    return Field(Block(f"{{{{- {expression} | nindent INDENT }}}}"), conditions=[condition] if condition else [])


def _rules(one: ChartObject) -> None:
    one.conditions.append(".Values.prometheus.rules.enabled")
    _labels(one)


def _dashboard(one: ChartObject) -> None:
    """The file itself is in the chart: no other template language is in a template."""
    one.conditions.append(".Values.prometheus.dashboard.enabled")
    text = '.Files.Get "files/dashboard.json" | replace "sutler-system" .Release.Namespace'
    one.tree["data"].field("sutler.json").value = Inline(f"|\n    {{{{- {text} | nindent 4 }}}}")


def _deployment(one: ChartObject) -> None:
    own = one.place[2].removeprefix("sutler-")
    assert own in PROCESSES
    spec = one.tree["spec"]
    if own != "api":  # its changes of one image run one after the other, in one process
        spec.put("replicas", Inline(f"{{{{ .Values.{own}.replicaCount }}}}"))
    template = spec["template"]
    given = f'(list $ "{own}")'
    annotations = f'include "sutler.podAnnotations" {given}'
    template["metadata"].put("annotations", Block(f"{{{{- {annotations} | nindent INDENT }}}}"), annotations)
    labels = f'include "sutler.podLabels" {given}'
    template["metadata"]["labels"].fields.append(_lines(labels, labels))
    pod = template["spec"]
    pod.fields = [each for each in pod.fields if each.key != "priorityClassName"]
    scheduling = f'include "sutler.scheduling" {given}'
    pod.fields.insert(1, _lines(scheduling, scheduling))
    container = pod["containers"][0]
    container.put("image", Inline('{{ include "sutler.image" . | quote }}'))
    container.put("imagePullPolicy", Inline("{{ .Values.image.pullPolicy }}"))
    _map_of(container, "resources", f".Values.{own}.resources")
    container.field("resources").conditions.append(f".Values.{own}.resources")
    arguments = f'include "sutler.extraArgs" {given}'
    container.put("args", Block(f"{{{{- {arguments} | nindent INDENT }}}}"), arguments)
    if own in _PROCESS:
        _PROCESS[own](pod, container)
    environment = f'include "sutler.extraEnv" {given}'
    container.get("env", Seq([])).items.append(_lines(environment, environment))
    for key, parent, values in (("volumeMounts", container, "extraVolumeMounts"), ("volumes", pod, "extraVolumes")):
        parent.get(key, Seq([])).items.append(_lines(f"toYaml .Values.{own}.{values}", f".Values.{own}.{values}"))


def _variable(name: str, value: str, condition: str = "") -> Field:
    return Field(Map([Field(name, "name"), Field(Inline(value), "value")]), conditions=[condition] if condition else [])


def _webhook_process(_: Map, container: Map) -> None:
    excluded = ".Values.webhook.excludedNamespaces"
    other = f'ne (join "," {excluded}) "{SYSTEM_NAMESPACES}"'
    container.get("env", Seq([])).items.append(
        _variable("SUTLER_EXCLUDED_NAMESPACES", f"{{{{ toJson {excluded} | quote }}}}", other)
    )


def _volumes_process(pod: Map, container: Map) -> None:
    _ceph("volumes", pod, container)
    clusters = ".Values.volumes.cephClusters"
    volume = '{{ include "sutler.clusterVolume" $clusterID }}'
    each = f"{{{{- range $clusterID, $secretName := {clusters} }}}}"
    container["env"].items.append(_variable("SUTLER_CEPH_CLUSTERS", CLUSTERS, clusters))
    mount = f"- name: {volume}\n  mountPath: {CLUSTERS}/{{{{ $clusterID }}}}\n  readOnly: true"
    container["volumeMounts"].items.append(Field(Block(f"{each}\n{mount}\n{{{{- end }}}}"), conditions=[clusters]))
    secret = f"- name: {volume}\n  secret:\n    secretName: {{{{ $secretName | quote }}}}"
    pod["volumes"].items.append(Field(Block(f"{each}\n{secret}\n{{{{- end }}}}"), conditions=[clusters]))


def _api_process(pod: Map, container: Map) -> None:
    _ceph("api", pod, container)
    pools, names = ".Values.api.ceph.poolsUser", ".Values.api.dnsNames"
    environment = container["env"].items
    environment.append(_variable("SUTLER_POOLS_USER", f"{{{{ {pools} | quote }}}}", pools))
    issued = _variable("SUTLER_TLS_NAMES", f"{{{{ toJson {names} | quote }}}}", names)
    issued.conditions.append(negated(CERT_MANAGER))
    environment.append(issued)


def _ceph(own: str, pod: Map, container: Map) -> None:
    given = f".Values.{own}.ceph"
    for each in container["env"].items:
        if each.value["name"] == "SUTLER_CEPH_USER":
            each.value.put("value", Inline(f"{{{{ {given}.user | quote }}}}"))
    for each in container["volumeMounts"].items:
        if each.origin is not ADDED:
            each.conditions.append(f"{given}.secretName")
    for each in pod["volumes"].items:
        if each.origin is not ADDED:
            each.conditions.append(f"{given}.secretName")
            each.value["secret"].put("secretName", Inline(f"{{{{ {given}.secretName | quote }}}}"))


def _registration(one: ChartObject) -> None:
    webhooks, excluded = one.tree["webhooks"], ".Values.webhook.excludedNamespaces"
    for each in webhooks.items:
        by_name = each.value["namespaceSelector"]["matchExpressions"][0]
        own = by_name["values"].items[0]
        by_name["values"].items = [own, _lines(f"toYaml {excluded}", excluded)]
    inject = webhooks[0]
    inject.put("failurePolicy", Inline("{{ .Values.webhook.failurePolicy }}"))
    inject.put("timeoutSeconds", Inline("{{ .Values.webhook.timeoutSeconds }}"))


def _api_server_ports(one: ChartObject) -> None:
    ports = "{{- range .Values.networkPolicy.apiServerPorts }}\n- protocol: TCP\n  port: {{ . }}\n{{- end }}"
    one.tree["spec"]["egress"][0]["ports"].items = [Field(Block(ports))]


def _api_certificate(one: ChartObject) -> None:
    one.tree["spec"]["dnsNames"].items.append(_lines("toYaml .Values.api.dnsNames", ".Values.api.dnsNames"))


def _classes(values: str, **parameters: str) -> Callable[[ChartObject], None]:
    """The values of a StorageClass, by its parameters with `_` for `-`."""

    def put(one: ChartObject) -> None:
        for each in one.tree["parameters"].fields:
            if name := parameters.get(each.key.rpartition("/")[2].replace("-", "_")):
                each.value = Inline(f"{{{{ .Values.{values}.{name} | quote }}}}")

    return put


_BY_KIND: dict[str, Callable[[ChartObject], None]] = {
    "CustomResourceDefinition": _crd,
    "Deployment": _deployment,
    "Namespace": _namespace,
    "PodMonitor": _labels,
    "PrometheusRule": _rules,
    "ServiceAccount": _account,
}
_BY_PLACE: dict[tuple[str, str], Callable[[ChartObject], None]] = {
    ("Certificate", "sutler-api"): _api_certificate,
    ("ConfigMap", "sutler-dashboard"): _dashboard,
    ("MutatingWebhookConfiguration", "sutler-webhook"): _registration,
    ("NetworkPolicy", "sutler-to-api-server"): _api_server_ports,
}
_BY_FILE: dict[str, Callable[[ChartObject], None]] = {
    "csi-classes.yaml": _classes("csi", clusterID="clusterID", pool="pool", node_stage_secret_name="nodeStageSecret"),
    "in-tree-class.yaml": _classes("inTree", pool="pool", userId="user", node_stage_secret_name="nodeStageSecret"),
}
_PROCESS: dict[str, Callable[[Map, Map], None]] = {
    "webhook": _webhook_process,
    "volumes": _volumes_process,
    "api": _api_process,
}
