"""Installs Sutler in the lab's cluster: as Pods by the steps of the guide, or as processes if Pods cannot run."""

import shlex
from typing import Protocol

from tests.cluster import needs
from tests.cluster.installation import Installation
from tests.demo.lab import PUBLIC, SUTLER_VERSION, Lab

NAMESPACE = "sutler-system"
_OVERLAY = "tests/demo/overlay"
_API_PORT = 8443
_CONSOLE = "console"
_RBD = "mon 'profile rbd' osd 'profile rbd' mgr 'profile rbd'"
_POOLS = "mon 'allow rw' osd 'profile rbd'"
# `kubectl create token` came with 1.24.
_TOKEN = f"kubectl -n {_CONSOLE} create token {_CONSOLE} --duration=24h"
_OLD_TOKEN = (
    'echo \'{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":86400}}\''
    f" | kubectl create --raw /api/v1/namespaces/{_CONSOLE}/serviceaccounts/{_CONSOLE}/token -f - | jq -r .status.token"
)


class SutlerInstallation(Protocol):
    def install(self) -> None:
        """Install Sutler; it works when this returns."""

    def open_api(self) -> None:
        """Set the variables with which the story's commands use the REST API as its administrator."""


def choose_installation(lab: Lab) -> SutlerInstallation:
    return ProcessInstallation(lab) if lab.why_no_pods else PodInstallation(lab)


class PodInstallation:
    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._narrator = lab.narrator

    def install(self) -> None:
        lab, narrator = self._lab, self._narrator
        narrator.explain(
            "The Dockerfile's steps have built Sutler's image. The demo pushes it to the registry without a password,"
            f" which the node calls {PUBLIC}:"
        )
        source = f"oci-archive:{shlex.quote(str(lab.image))}"
        target = f"docker://{lab.public.host}/sutler:{SUTLER_VERSION}"
        narrator.run(f"skopeo --insecure-policy copy --quiet --dest-tls-verify=false {source} {target}")
        narrator.run("kubectl apply -f manifests/crds")
        narrator.run("kubectl wait --for=condition=Established -f manifests/crds")
        narrator.run(f"cat {_OVERLAY}/kustomization.yaml")
        narrator.run(f"kubectl apply -k {_OVERLAY}")
        if not needs.lacking("", before_kubernetes="1.21"):
            narrator.run("kubectl label namespace kube-system sutler.dev/exclude=true")
        self._ceph_secrets()
        narrator.run(f"kubectl -n {NAMESPACE} wait --for=condition=Available deployment --all --timeout=100s")
        narrator.run(f"kubectl -n {NAMESPACE} get pods")

    def _ceph_secrets(self) -> None:
        """Create two Ceph users for the REST API, and one for the volumes controller."""
        narrator = self._narrator
        narrator.explain(
            "Ceph users for volumes, for the REST API's images and for its pools, in the Secrets of the Pods:"
        )
        folder = shlex.quote(str(self._lab.state))
        narrator.run(f"ceph config generate-minimal-conf > {folder}/ceph.conf")
        users = {"sutler-ceph": {"sutler": _RBD}, "sutler-api-ceph": {"sutler-api": _RBD, "sutler-pools": _POOLS}}
        for secret, clients in users.items():
            keyring = f"{folder}/{secret}.keyring"
            for client, allowed in clients.items():
                narrator.run(f"ceph auth get-or-create client.{client} {allowed} >> {keyring}")
            narrator.run(
                f"kubectl -n {NAMESPACE} create secret generic {secret}"
                f" --from-file=ceph.conf={folder}/ceph.conf --from-file=keyring={keyring}"
            )

    def open_api(self) -> None:
        lab, narrator = self._lab, self._narrator
        narrator.run(f"kubectl create namespace {_CONSOLE}")
        narrator.run(f"kubectl -n {_CONSOLE} create serviceaccount {_CONSOLE}")
        account = f"--serviceaccount={_CONSOLE}:{_CONSOLE}"
        narrator.run(f"kubectl create clusterrolebinding {_CONSOLE} --clusterrole=sutler-api-admin {account}")
        authority = lab.state / "api-ca.crt"
        stored = f"kubectl -n {NAMESPACE} get secret sutler-api-certificate -o jsonpath='{{.data.ca\\.crt}}'"
        narrator.run(f"{stored} | base64 -d > {shlex.quote(str(authority))}")
        port = lab.place.published(_API_PORT)
        narrator.explain(f"Port {port} of this machine forwards to the REST API's port {_API_PORT} on the node.")
        narrator.export("SUTLER_API_URL", f"https://localhost:{port}")
        narrator.export("SUTLER_API_CA", str(authority))
        narrator.export_output("SUTLER_API_TOKEN", _OLD_TOKEN if needs.lacking("", kubectl="1.24") else _TOKEN)


class ProcessInstallation:
    """Sutler's four processes run beside the cluster, each with its own account."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def install(self) -> None:
        lab, narrator = self._lab, self._lab.narrator
        narrator.explain(f"Sutler cannot run as Pods here: {lab.why_no_pods}.")
        narrator.explain(
            "The demo starts the processes of its Deployments beside the cluster, and registers the webhook by URL:"
        )
        narrator.explain("It applies manifests/crds, then manifests/base without Deployments and Services.")
        self._installation = Installation(lab.control, lab.ceph, lab.place, lab.state / "sutler")
        self._installation.start()
        lab.stack.callback(self._installation.stop)
        narrator.run(f"kubectl get serviceaccounts -n {NAMESPACE}")
        narrator.explain("✓ webhook, secrets, volumes and api are ready, each with its own account")

    def open_api(self) -> None:
        self._lab.narrator.env = {**self._lab.narrator.env, **self._installation.api_access()}
