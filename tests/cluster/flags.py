"""The command lines of etcd, kube-apiserver and kube-controller-manager: pure, for 1.20 to current."""

from dataclasses import dataclass
from pathlib import Path

# The node's bridge; Pods reach the API server here. Without a node, no process has this address and none is
# sent anything to it: it only has to be one that Kubernetes accepts as an endpoint, which loopback is not.
BRIDGE_ADDRESS = "10.244.0.1"
SERVICE_RANGE = "10.96.0.0/16"
API_SERVICE_ADDRESS = "10.96.0.1"
SERVER_NAMES = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
SERVER_ADDRESSES = ["127.0.0.1", BRIDGE_ADDRESS, API_SERVICE_ADDRESS]

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  verbs: [get, list, watch]
- level: Metadata
"""


@dataclass(frozen=True)
class Ports:
    etcd: int
    etcd_peer: int
    apiserver: int


def etcd(state: Path, ports: Ports) -> list[str]:
    client = f"http://127.0.0.1:{ports.etcd}"
    peer = f"http://127.0.0.1:{ports.etcd_peer}"
    return [
        f"--data-dir={state / 'etcd'}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]


def apiserver(state: Path, ports: Ports, *, bind: str, minor: int) -> list[str]:
    pki = state / "pki"
    # What later versions have switched on: CSIStorageCapacity is in its alpha there.
    early = ["--feature-gates=CSIStorageCapacity=true", "--runtime-config=storage.k8s.io/v1alpha1=true"]
    return [
        f"--etcd-servers=http://127.0.0.1:{ports.etcd}",
        f"--bind-address={bind}",
        f"--secure-port={ports.apiserver}",
        f"--advertise-address={BRIDGE_ADDRESS}",
        f"--cert-dir={pki}",
        f"--tls-cert-file={pki / 'tls.crt'}",
        f"--tls-private-key-file={pki / 'tls.key'}",
        f"--token-auth-file={state / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        # Calls a webhook's Service at its endpoints: needs no kube-proxy.
        "--enable-aggregator-routing=true",
        # kubectl logs and exec: nothing resolves the node's name.
        "--kubelet-preferred-address-types=InternalIP",
        f"--audit-policy-file={state / 'audit-policy.yaml'}",
        f"--audit-log-path={state / 'audit.log'}",
        *(early if minor < 21 else []),
    ]


def controller_manager(state: Path, *, minor: int) -> list[str]:
    pki = state / "pki"
    # Before 1.24 a second, plain-text port is open unless it is closed, the same one for every cluster.
    insecure = ["--port=0"] if minor < 24 else []
    return [
        f"--kubeconfig={state / 'admin.kubeconfig'}",
        f"--service-account-private-key-file={pki / 'sa.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        "--use-service-account-credentials=false",
        "--leader-elect=false",
        "--controllers=*",
        "--bind-address=127.0.0.1",
        "--secure-port=0",
        *insecure,
    ]
