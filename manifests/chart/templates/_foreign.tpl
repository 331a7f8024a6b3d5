{{- /* Written by `make chart`; a test fails when the manifests differ. */ -}}
{{- define "sutler.foreign.values" -}}
installCRDs: crds.enabled
crds.create: crds.enabled
crds.install: crds.enabled
customResourceDefinitions: crds.enabled
replicaCount: webhook.replicaCount, secrets.replicaCount, volumes.replicaCount and tokens.replicaCount
replicas: webhook.replicaCount, secrets.replicaCount, volumes.replicaCount and tokens.replicaCount
webhook.replicas: webhook.replicaCount
secrets.replicas: secrets.replicaCount
volumes.replicas: volumes.replicaCount
tokens.replicas: tokens.replicaCount
api.replicaCount: 'nothing: one process runs the changes of an image one after the other'
api.replicas: 'nothing: one process runs the changes of an image one after the other'
resources: webhook.resources, secrets.resources, volumes.resources, api.resources and tokens.resources
autoscaling: webhook.replicaCount, secrets.replicaCount, volumes.replicaCount and tokens.replicaCount
strategy: 'nothing: an update removes no replica of the webhook before its successor is ready'
topologySpreadConstraints: affinity; by default the Pods spread over the nodes
securityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
podSecurityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
containerSecurityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
livenessProbe: 'nothing: the probes are fixed'
readinessProbe: 'nothing: the probes are fixed'
nameOverride: 'nothing: the names of Sutler''s objects are fixed, because a cluster has one Sutler'
fullnameOverride: 'nothing: the names of Sutler''s objects are fixed, because a cluster has one Sutler'
namespace: 'helm --namespace: Sutler is installed in the namespace of the release'
namespaceOverride: 'helm --namespace: Sutler is installed in the namespace of the release'
clusterResourceNamespace: 'helm --namespace: Sutler is installed in the namespace of the release'
serviceAccount: webhook.serviceAccount.annotations, secrets.serviceAccount.annotations, volumes.serviceAccount.annotations, api.serviceAccount.annotations and tokens.serviceAccount.annotations
rbac: 'nothing: the chart always creates the permissions that Sutler needs'
args: extraArgs
env: extraEnv
extraEnvVars: extraEnv
logLevel: 'extraArgs: [--log-level=debug]'
leaderElection: 'secrets.extraArgs, volumes.extraArgs and tokens.extraArgs: --lease-duration, --renew-deadline, --retry-period'
leaderElect: 'secrets.extraArgs, volumes.extraArgs and tokens.extraArgs: --lease-duration, --renew-deadline, --retry-period'
featureGates: 'nothing: Sutler has no feature gates'
commonLabels: podLabels
deploymentAnnotations: podAnnotations
volumeMounts: webhook.extraVolumeMounts, secrets.extraVolumeMounts, volumes.extraVolumeMounts, api.extraVolumeMounts and tokens.extraVolumeMounts
extraVolumes: webhook.extraVolumes, secrets.extraVolumes, volumes.extraVolumes, api.extraVolumes and tokens.extraVolumes
extraVolumeMounts: webhook.extraVolumeMounts, secrets.extraVolumeMounts, volumes.extraVolumeMounts, api.extraVolumeMounts and tokens.extraVolumeMounts
extraObjects: a chart or a manifest of your own
http_proxy: 'tokens.extraEnv: HTTP_PROXY'
https_proxy: 'tokens.extraEnv: HTTPS_PROXY'
no_proxy: 'tokens.extraEnv: NO_PROXY'
cainjector: 'nothing: Sutler''s webhook publishes its CA itself'
certManager: 'certificates.source: cert-manager'
startupapicheck: test.namespace, and `helm test`
metrics: prometheus.enabled
serviceMonitor: prometheus.enabled, prometheus.labels
podMonitor: prometheus.enabled, prometheus.labels
prometheus.servicemonitor: 'prometheus.enabled, prometheus.labels: Sutler has a PodMonitor'
prometheus.podmonitor: prometheus.enabled, prometheus.labels
prometheus.serviceMonitor: 'prometheus.enabled, prometheus.labels: Sutler has a PodMonitor'
prometheus.podMonitor: prometheus.enabled, prometheus.labels
networkPolicies: networkPolicy.enabled
podDisruptionBudget.minAvailable: 'nothing: a budget lets a drain evict one replica at a time'
podDisruptionBudget.maxUnavailable: 'nothing: a budget lets a drain evict one replica at a time'
webhook.podDisruptionBudget: podDisruptionBudget.enabled
webhook.networkPolicy: networkPolicy.enabled
webhook.image: 'image: all processes run from one image'
webhook.create: webhook.enabled
webhook.certManager: 'certificates.source: cert-manager'
webhook.namespaceSelector: webhook.excludedNamespaces, or the label sutler.dev/exclude=true on a namespace, sutler.dev/inject=false on a Pod
webhook.mutatingWebhookConfiguration: webhook.excludedNamespaces, or the label sutler.dev/exclude=true on a namespace, sutler.dev/inject=false on a Pod
webhook.validatingWebhookConfiguration: 'nothing: Sutler has no validating webhook'
webhook.securePort: 'nothing: the webhook serves on port 8443'
webhook.hostNetwork: 'nothing: open port 8443 of the nodes'' Pods to the control plane'
webhook.securityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
webhook.containerSecurityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
webhook.strategy: 'nothing: an update removes no replica of the webhook before its successor is ready'
webhook.topologySpreadConstraints: webhook.affinity; by default the Pods spread over the nodes
webhook.livenessProbe: 'nothing: the probes are fixed'
webhook.readinessProbe: 'nothing: the probes are fixed'
webhook.volumes: webhook.extraVolumes
webhook.volumeMounts: webhook.extraVolumeMounts
webhook.serviceLabels: 'nothing: the labels of the Service are fixed'
webhook.deploymentAnnotations: webhook.podAnnotations
image.name: image.repository
image.pullSecrets: imagePullSecrets
{{- end }}
{{- define "sutler.foreign.globals" -}}
priorityClassName: priorityClassName
nodeSelector: nodeSelector
commonLabels: podLabels
logLevel: 'extraArgs: [--log-level=debug]'
leaderElection: 'secrets.extraArgs, volumes.extraArgs and tokens.extraArgs: --lease-duration, --renew-deadline, --retry-period'
rbac: 'nothing: the chart always creates the permissions that Sutler needs'
podSecurityPolicy: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
revisionHistoryLimit: 'nothing: Kubernetes keeps ten revisions'
hostUsers: 'nothing: Sutler''s Pods need no users of the host'
imageRegistry: image.registry
{{- end }}
{{- define "sutler.foreign.lists" -}}
volumes: webhook.extraVolumes, secrets.extraVolumes, volumes.extraVolumes, api.extraVolumes and tokens.extraVolumes
{{- end }}
