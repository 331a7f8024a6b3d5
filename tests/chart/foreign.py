"""Names that values have in other charts, and what to use instead. Pure: no I/O."""

_EACH = "webhook.{0}, secrets.{0}, volumes.{0} and tokens.{0}"
_ALL = "webhook.{0}, secrets.{0}, volumes.{0}, api.{0} and tokens.{0}"
_FIXED_NAMES = "nothing: the names of Sutler's objects are fixed, because a cluster has one Sutler"
_FIXED_SECURITY = "nothing: all Pods meet the Pod Security level restricted, and have a read-only root"
_FIXED_PROBES = "nothing: the probes are fixed"
_RELEASE = "helm --namespace: Sutler is installed in the namespace of the release"
_LOG = "extraArgs: [--log-level=debug]"
_LEASE = "secrets.extraArgs, volumes.extraArgs and tokens.extraArgs: --lease-duration, --renew-deadline, --retry-period"
_ONE_IMAGE = "image: all processes run from one image"
_WEBHOOK_OBJECT = (
    "webhook.excludedNamespaces, or the label sutler.dev/exclude=true on a namespace, sutler.dev/inject=false on a Pod"
)

FOREIGN = {
    "installCRDs": "crds.enabled",
    "crds.create": "crds.enabled",
    "crds.install": "crds.enabled",
    "customResourceDefinitions": "crds.enabled",
    "replicaCount": _EACH.format("replicaCount"),
    "replicas": _EACH.format("replicaCount"),
    "webhook.replicas": "webhook.replicaCount",
    "secrets.replicas": "secrets.replicaCount",
    "volumes.replicas": "volumes.replicaCount",
    "tokens.replicas": "tokens.replicaCount",
    "api.replicaCount": "nothing: one process runs the changes of an image one after the other",
    "api.replicas": "nothing: one process runs the changes of an image one after the other",
    "resources": _ALL.format("resources"),
    "autoscaling": _EACH.format("replicaCount"),
    "strategy": "nothing: an update removes no replica of the webhook before its successor is ready",
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
    "webhook.podDisruptionBudget": "podDisruptionBudget.enabled",
    "webhook.networkPolicy": "networkPolicy.enabled",
    "webhook.image": _ONE_IMAGE,
    "webhook.create": "webhook.enabled",
    "webhook.certManager": "certificates.source: cert-manager",
    "webhook.namespaceSelector": _WEBHOOK_OBJECT,
    "webhook.mutatingWebhookConfiguration": _WEBHOOK_OBJECT,
    "webhook.validatingWebhookConfiguration": "nothing: Sutler has no validating webhook",
    "webhook.securePort": "nothing: the webhook serves on port 8443",
    "webhook.hostNetwork": "nothing: open port 8443 of the nodes' Pods to the control plane",
    "webhook.securityContext": _FIXED_SECURITY,
    "webhook.containerSecurityContext": _FIXED_SECURITY,
    "webhook.strategy": "nothing: an update removes no replica of the webhook before its successor is ready",
    "webhook.topologySpreadConstraints": "webhook.affinity; by default the Pods spread over the nodes",
    "webhook.livenessProbe": _FIXED_PROBES,
    "webhook.readinessProbe": _FIXED_PROBES,
    "webhook.volumes": "webhook.extraVolumes",
    "webhook.volumeMounts": "webhook.extraVolumeMounts",
    "webhook.serviceLabels": "nothing: the labels of the Service are fixed",
    "webhook.deploymentAnnotations": "webhook.podAnnotations",
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
}
"""The same for `global`, where other charts may need them: refused only if Sutler is no part of another chart."""

FOREIGN_LISTS = {"volumes": _ALL.format("extraVolumes")}
"""The same for values that are lists in other charts, and sections here."""
