{{- /* Written by `make chart`; a test fails when the manifests differ. */ -}}
{{- define "sutler.foreign.values" -}}
installCRDs: crds.enabled
crds.create: crds.enabled
crds.install: crds.enabled
customResourceDefinitions: crds.enabled
replicaCount: webhook.replicaCount, secrets.replicaCount, volumes.replicaCount and tokens.replicaCount
replicas: webhook.replicaCount, secrets.replicaCount, volumes.replicaCount and tokens.replicaCount
api.replicaCount: 'nothing: one process runs the changes of an image one after the other'
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
config: extraArgs
automountServiceAccountToken: 'nothing: each process needs the token of its ServiceAccount'
serviceLabels: 'nothing: the labels of the Services are fixed'
serviceAnnotations: 'nothing: the annotations of the Services are fixed'
hostAliases: 'nothing: Sutler''s Pods use the DNS of the cluster'
podDnsPolicy: 'nothing: Sutler''s Pods use the DNS of the cluster'
podDnsConfig: 'nothing: Sutler''s Pods use the DNS of the cluster'
enableServiceLinks: 'nothing: it is always false'
dashboard: prometheus.dashboard.enabled
grafana: prometheus.dashboard.enabled
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
webhook.create: webhook.enabled
webhook.certManager: 'certificates.source: cert-manager'
webhook.namespaceSelector: webhook.excludedNamespaces, or the label sutler.dev/exclude=true on a namespace, sutler.dev/inject=false on a Pod
webhook.mutatingWebhookConfiguration: webhook.excludedNamespaces, or the label sutler.dev/exclude=true on a namespace, sutler.dev/inject=false on a Pod
webhook.validatingWebhookConfiguration: 'nothing: Sutler has no validating webhook'
webhook.securePort: 'nothing: the webhook serves on port 8443'
webhook.serviceType: 'nothing: the API server calls the webhook by a Service of the cluster'
webhook.url: 'nothing: docs/install.md describes a webhook outside of the cluster'
webhook.config: webhook.extraArgs
webhook.serviceLabels: 'nothing: the labels of the Service are fixed'
webhook.replicas: webhook.replicaCount
webhook.replica: webhook.replicaCount
webhook.image: 'image: all processes run from one image'
webhook.env: webhook.extraEnv
webhook.args: webhook.extraArgs
webhook.volumes: webhook.extraVolumes
webhook.volumeMounts: webhook.extraVolumeMounts
webhook.deploymentAnnotations: webhook.podAnnotations
webhook.serviceAccount.create: 'webhook.enabled: each process has its own ServiceAccount'
webhook.serviceAccount.name: 'nothing: the names of Sutler''s objects are fixed, because a cluster has one Sutler'
webhook.securityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
webhook.podSecurityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
webhook.containerSecurityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
webhook.strategy: 'nothing: an update removes no replica of the webhook before its successor is ready'
webhook.topologySpreadConstraints: webhook.affinity; by default the Pods spread over the nodes
webhook.livenessProbe: 'nothing: the probes are fixed'
webhook.readinessProbe: 'nothing: the probes are fixed'
webhook.podDisruptionBudget: podDisruptionBudget.enabled
webhook.networkPolicy: networkPolicy.enabled
webhook.hostNetwork: 'nothing: open port 8443 of the nodes'' Pods to the control plane'
secrets.replicas: secrets.replicaCount
secrets.replica: secrets.replicaCount
secrets.image: 'image: all processes run from one image'
secrets.env: secrets.extraEnv
secrets.args: secrets.extraArgs
secrets.volumes: secrets.extraVolumes
secrets.volumeMounts: secrets.extraVolumeMounts
secrets.deploymentAnnotations: secrets.podAnnotations
secrets.serviceAccount.create: 'secrets.enabled: each process has its own ServiceAccount'
secrets.serviceAccount.name: 'nothing: the names of Sutler''s objects are fixed, because a cluster has one Sutler'
secrets.securityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
secrets.podSecurityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
secrets.containerSecurityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
secrets.strategy: 'nothing: an update removes no replica of the webhook before its successor is ready'
secrets.topologySpreadConstraints: secrets.affinity; by default the Pods spread over the nodes
secrets.livenessProbe: 'nothing: the probes are fixed'
secrets.readinessProbe: 'nothing: the probes are fixed'
secrets.podDisruptionBudget: podDisruptionBudget.enabled
secrets.networkPolicy: networkPolicy.enabled
secrets.hostNetwork: 'nothing: open port 8443 of the nodes'' Pods to the control plane'
volumes.replicas: volumes.replicaCount
volumes.replica: volumes.replicaCount
volumes.image: 'image: all processes run from one image'
volumes.env: volumes.extraEnv
volumes.args: volumes.extraArgs
volumes.volumes: volumes.extraVolumes
volumes.volumeMounts: volumes.extraVolumeMounts
volumes.deploymentAnnotations: volumes.podAnnotations
volumes.serviceAccount.create: 'volumes.enabled: each process has its own ServiceAccount'
volumes.serviceAccount.name: 'nothing: the names of Sutler''s objects are fixed, because a cluster has one Sutler'
volumes.securityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
volumes.podSecurityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
volumes.containerSecurityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
volumes.strategy: 'nothing: an update removes no replica of the webhook before its successor is ready'
volumes.topologySpreadConstraints: volumes.affinity; by default the Pods spread over the nodes
volumes.livenessProbe: 'nothing: the probes are fixed'
volumes.readinessProbe: 'nothing: the probes are fixed'
volumes.podDisruptionBudget: podDisruptionBudget.enabled
volumes.networkPolicy: networkPolicy.enabled
volumes.hostNetwork: 'nothing: open port 8443 of the nodes'' Pods to the control plane'
api.image: 'image: all processes run from one image'
api.env: api.extraEnv
api.args: api.extraArgs
api.volumes: api.extraVolumes
api.volumeMounts: api.extraVolumeMounts
api.deploymentAnnotations: api.podAnnotations
api.serviceAccount.create: 'api.enabled: each process has its own ServiceAccount'
api.serviceAccount.name: 'nothing: the names of Sutler''s objects are fixed, because a cluster has one Sutler'
api.securityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
api.podSecurityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
api.containerSecurityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
api.strategy: 'nothing: an update removes no replica of the webhook before its successor is ready'
api.topologySpreadConstraints: api.affinity; by default the Pods spread over the nodes
api.livenessProbe: 'nothing: the probes are fixed'
api.readinessProbe: 'nothing: the probes are fixed'
api.podDisruptionBudget: podDisruptionBudget.enabled
api.networkPolicy: networkPolicy.enabled
api.hostNetwork: 'nothing: open port 8443 of the nodes'' Pods to the control plane'
tokens.replicas: tokens.replicaCount
tokens.replica: tokens.replicaCount
tokens.image: 'image: all processes run from one image'
tokens.env: tokens.extraEnv
tokens.args: tokens.extraArgs
tokens.volumes: tokens.extraVolumes
tokens.volumeMounts: tokens.extraVolumeMounts
tokens.deploymentAnnotations: tokens.podAnnotations
tokens.serviceAccount.create: 'tokens.enabled: each process has its own ServiceAccount'
tokens.serviceAccount.name: 'nothing: the names of Sutler''s objects are fixed, because a cluster has one Sutler'
tokens.securityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
tokens.podSecurityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
tokens.containerSecurityContext: 'nothing: all Pods meet the Pod Security level restricted, and have a read-only root'
tokens.strategy: 'nothing: an update removes no replica of the webhook before its successor is ready'
tokens.topologySpreadConstraints: tokens.affinity; by default the Pods spread over the nodes
tokens.livenessProbe: 'nothing: the probes are fixed'
tokens.readinessProbe: 'nothing: the probes are fixed'
tokens.podDisruptionBudget: podDisruptionBudget.enabled
tokens.networkPolicy: networkPolicy.enabled
tokens.hostNetwork: 'nothing: open port 8443 of the nodes'' Pods to the control plane'
api.replicas: 'nothing: one process runs the changes of an image one after the other'
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
image: image
{{- end }}
{{- define "sutler.foreign.lists" -}}
volumes: webhook.extraVolumes, secrets.extraVolumes, volumes.extraVolumes, api.extraVolumes and tokens.extraVolumes
{{- end }}
