"""Names that values have in other charts, and what to use instead. Pure: no I/O."""

_EACH = "webhook.{0}, secrets.{0}, volumes.{0} and tokens.{0}"
_ALL = "webhook.{0}, secrets.{0}, volumes.{0}, api.{0} and tokens.{0}"
_FIXED_NAMES = "nothing: the names of Sutler's objects are fixed, because a cluster has one Sutler"
_FIXED_SECURITY = "nothing: all Pods meet the Pod Security level restricted, and have a read-only root"
_FIXED_STRATEGY = "nothing: an update removes no replica of the webhook before its successor is ready"
_FIXED_PROBES = "nothing: the probes are fixed"
_RELEASE = "helm --namespace: Sutler is installed in the namespace of the release"
_LOG = "extraArgs: [--log-level=debug]"
_LEASE = "secrets.extraArgs, volumes.extraArgs and tokens.extraArgs: --lease-duration, --renew-deadline, --retry-period"
_ONE_IMAGE = "image: all processes run from one image"
_ONE_PROCESS = "nothing: one process runs the changes of an image one after the other"
_WEBHOOK_OBJECT = (
    "webhook.excludedNamespaces, or the label sutler.dev/exclude=true on a namespace, sutler.dev/inject=false on a Pod"
)

_OF_EACH_PROCESS = {
    "replicas": "{0}.replicaCount",
    "replica": "{0}.replicaCount",
    "image": _ONE_IMAGE,
    "env": "{0}.extraEnv",
    "args": "{0}.extraArgs",
    "volumes": "{0}.extraVolumes",
    "volumeMounts": "{0}.extraVolumeMounts",
    "deploymentAnnotations": "{0}.podAnnotations",
    "serviceAccount.create": "{0}.enabled: each process has its own ServiceAccount",
    "serviceAccount.name": _FIXED_NAMES,
    "securityContext": _FIXED_SECURITY,
    "podSecurityContext": _FIXED_SECURITY,
    "containerSecurityContext": _FIXED_SECURITY,
    "strategy": _FIXED_STRATEGY,
    "topologySpreadConstraints": "{0}.affinity; by default the Pods spread over the nodes",
    "livenessProbe": _FIXED_PROBES,
    "readinessProbe": _FIXED_PROBES,
    "podDisruptionBudget": "podDisruptionBudget.enabled",
    "networkPolicy": "networkPolicy.enabled",
    "hostNetwork": "nothing: open port 8443 of the nodes' Pods to the control plane",
}

FOREIGN = {
    "installCRDs": "crds.enabled",
    "crds.create": "crds.enabled",
    "crds.install": "crds.enabled",
    "customResourceDefinitions": "crds.enabled",
    "replicaCount": _EACH.format("replicaCount"),
    "replicas": _EACH.format("replicaCount"),
    "api.replicaCount": _ONE_PROCESS,
    "resources": _ALL.format("resources"),
    "autoscaling": _EACH.format("replicaCount"),
    "strategy": _FIXED_STRATEGY,
    "topologySpreadConstraints": "affinity; by default the Pods spread over the nodes",
    "securityContext": _FIXED_SECURITY,
    "podSecurityContext": _FIXED_SECURITY,
    "containerSecurityContext": _FIXED_SECURITY,
    "livenessProbe": _FIXED_PROBES,
    "readinessProbe": _FIXED_PROBES,
    "nameOverride": _FIXED_NAMES,
    "fullnameOverride": _FIXED_NAMES,
    "namespace": _RELEASE,
    "namespaceOverride": _RELEASE,
    "clusterResourceNamespace": _RELEASE,
    "serviceAccount": _ALL.format("serviceAccount.annotations"),
    "rbac": "nothing: the chart always creates the permissions that Sutler needs",
    "args": "extraArgs",
    "env": "extraEnv",
    "extraEnvVars": "extraEnv",
    "logLevel": _LOG,
    "leaderElection": _LEASE,
    "leaderElect": _LEASE,
    "featureGates": "nothing: Sutler has no feature gates",
    "config": "extraArgs",
    "automountServiceAccountToken": "nothing: each process needs the token of its ServiceAccount",
    "serviceLabels": "nothing: the labels of the Services are fixed",
    "serviceAnnotations": "nothing: the annotations of the Services are fixed",
    "hostAliases": "nothing: Sutler's Pods use the DNS of the cluster",
    "podDnsPolicy": "nothing: Sutler's Pods use the DNS of the cluster",
    "podDnsConfig": "nothing: Sutler's Pods use the DNS of the cluster",
    "enableServiceLinks": "nothing: it is always false",
    "dashboard": "prometheus.dashboard.enabled",
    "grafana": "prometheus.dashboard.enabled",
    "commonLabels": "podLabels",
    "deploymentAnnotations": "podAnnotations",
    "volumeMounts": _ALL.format("extraVolumeMounts"),
    "extraVolumes": _ALL.format("extraVolumes"),
    "extraVolumeMounts": _ALL.format("extraVolumeMounts"),
    "extraObjects": "a chart or a manifest of your own",
    "http_proxy": "tokens.extraEnv: HTTP_PROXY",
    "https_proxy": "tokens.extraEnv: HTTPS_PROXY",
    "no_proxy": "tokens.extraEnv: NO_PROXY",
    "cainjector": "nothing: Sutler's webhook publishes its CA itself",
    "certManager": "certificates.source: cert-manager",
    "startupapicheck": "test.namespace, and `helm test`",
    "metrics": "prometheus.enabled",
    "serviceMonitor": "prometheus.enabled, prometheus.labels",
    "podMonitor": "prometheus.enabled, prometheus.labels",
    "prometheus.servicemonitor": "prometheus.enabled, prometheus.labels: Sutler has a PodMonitor",
    "prometheus.podmonitor": "prometheus.enabled, prometheus.labels",
    "prometheus.serviceMonitor": "prometheus.enabled, prometheus.labels: Sutler has a PodMonitor",
    "prometheus.podMonitor": "prometheus.enabled, prometheus.labels",
    "networkPolicies": "networkPolicy.enabled",
    "podDisruptionBudget.minAvailable": "nothing: a budget lets a drain evict one replica at a time",
    "podDisruptionBudget.maxUnavailable": "nothing: a budget lets a drain evict one replica at a time",
    "webhook.create": "webhook.enabled",
    "webhook.certManager": "certificates.source: cert-manager",
    "webhook.namespaceSelector": _WEBHOOK_OBJECT,
    "webhook.mutatingWebhookConfiguration": _WEBHOOK_OBJECT,
    "webhook.validatingWebhookConfiguration": "nothing: Sutler has no validating webhook",
    "webhook.securePort": "nothing: the webhook serves on port 8443",
    "webhook.serviceType": "nothing: the API server calls the webhook by a Service of the cluster",
    "webhook.url": "nothing: docs/install.md describes a webhook outside of the cluster",
    "webhook.config": "webhook.extraArgs",
    "webhook.serviceLabels": "nothing: the labels of the Service are fixed",
    **{
        f"{process}.{name}": instead.format(process)
        for process in ("webhook", "secrets", "volumes", "api", "tokens")
        for name, instead in _OF_EACH_PROCESS.items()
        if (process, name) not in {("api", "replicas"), ("api", "replica")}
    },
    "api.replicas": _ONE_PROCESS,
    "image.name": "image.repository",
    "image.pullSecrets": "imagePullSecrets",
}
"""What to use instead, by the name of the value."""

FOREIGN_GLOBALS = {
    "priorityClassName": "priorityClassName",
    "nodeSelector": "nodeSelector",
    "commonLabels": "podLabels",
    "logLevel": _LOG,
    "leaderElection": _LEASE,
    "rbac": FOREIGN["rbac"],
    "podSecurityPolicy": _FIXED_SECURITY,
    "revisionHistoryLimit": "nothing: Kubernetes keeps ten revisions",
    "hostUsers": "nothing: Sutler's Pods need no users of the host",
    "imageRegistry": "image.registry",
    "image": "image",
}
"""The same for `global`, where other charts may need them: refused only if Sutler is no part of another chart."""

FOREIGN_LISTS = {"volumes": _ALL.format("extraVolumes")}
"""The same for values that are lists in other charts, and sections here."""
