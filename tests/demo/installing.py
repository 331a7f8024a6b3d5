"""How Sutler comes into the lab's cluster: as Pods by the README's own steps, or beside it where Pods can't run."""

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


class Installed(Protocol):
    def install(self) -> None:
        """Sutler works when it returns."""

    def open_api(self) -> None:
        """Give the story's commands what they need to use the REST API as its administrator."""


def way(lab: Lab) -> Installed:
    return Beside(lab) if lab.why_no_pods else AsPods(lab)


class AsPods:
    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._tell = lab.tell

    def install(self) -> None:
        lab, tell = self._lab, self._tell
        tell.say(
            "Its image was made by the Dockerfile's steps. It goes to the registry that asks for no password,"
            f" which the node calls {PUBLIC}:"
        )
        source = f"oci-archive:{shlex.quote(str(lab.image))}"
        target = f"docker://{lab.public.host}/sutler:{SUTLER_VERSION}"
        tell.run(f"skopeo --insecure-policy copy --quiet --dest-tls-verify=false {source} {target}")
        tell.run("kubectl apply -f manifests/crds")
        tell.run("kubectl wait --for=condition=Established -f manifests/crds")
        tell.run(f"cat {_OVERLAY}/kustomization.yaml")
        tell.run(f"kubectl apply -k {_OVERLAY}")
        if not needs.lacking("", before_kubernetes="1.21"):
            tell.run("kubectl label namespace kube-system sutler.dev/exclude=true")
        self._ceph_secrets()
        tell.run(f"kubectl -n {NAMESPACE} wait --for=condition=Available deployment --all --timeout=100s")
        tell.run(f"kubectl -n {NAMESPACE} get pods")

    def _ceph_secrets(self) -> None:
        """Two Ceph users for the REST API, and one for the volumes."""
        tell = self._tell
        tell.say(
            "Ceph's users for volumes, for the REST API's images and for its pools, each in the Secret of its Pod:"
        )
        folder = shlex.quote(str(self._lab.state))
        tell.run(f"ceph config generate-minimal-conf > {folder}/ceph.conf")
        users = {"sutler-ceph": {"sutler": _RBD}, "sutler-api-ceph": {"sutler-api": _RBD, "sutler-pools": _POOLS}}
        for secret, clients in users.items():
            keyring = f"{folder}/{secret}.keyring"
            for client, allowed in clients.items():
                tell.run(f"ceph auth get-or-create client.{client} {allowed} >> {keyring}")
            tell.run(
                f"kubectl -n {NAMESPACE} create secret generic {secret}"
                f" --from-file=ceph.conf={folder}/ceph.conf --from-file=keyring={keyring}"
            )

    def open_api(self) -> None:
        lab, tell = self._lab, self._tell
        tell.run(f"kubectl create namespace {_CONSOLE}")
        tell.run(f"kubectl -n {_CONSOLE} create serviceaccount {_CONSOLE}")
        account = f"--serviceaccount={_CONSOLE}:{_CONSOLE}"
        tell.run(f"kubectl create clusterrolebinding {_CONSOLE} --clusterrole=sutler-api-admin {account}")
        authority = lab.state / "api-ca.crt"
        stored = f"kubectl -n {NAMESPACE} get secret sutler-api-certificate -o jsonpath='{{.data.ca\\.crt}}'"
        tell.run(f"{stored} | base64 -d > {shlex.quote(str(authority))}")
        port = lab.place.published(_API_PORT)
        tell.say(f"Port {port} of this machine leads to the API's port {_API_PORT} on the node.")
        tell.export("SUTLER_API_URL", f"https://localhost:{port}")
        tell.export("SUTLER_API_CA", str(authority))
        tell.export_said("SUTLER_API_TOKEN", _OLD_TOKEN if needs.lacking("", kubectl="1.24") else _TOKEN)


class Beside:
    """Its four commands run as processes beside the cluster, each with the rights of its own account."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def install(self) -> None:
        lab, tell = self._lab, self._lab.tell
        tell.say(f"Sutler can't run as Pods here: {lab.why_no_pods}.")
        tell.say("So what its Deployments run is started beside the cluster, and its webhook is registered by URL:")
        tell.say("manifests/crds is applied, then manifests/base without Deployments and Services.")
        self._installation = Installation(lab.control, lab.ceph, lab.place, lab.state / "sutler")
        self._installation.start()
        lab.stack.callback(self._installation.stop)
        tell.run(f"kubectl get serviceaccounts -n {NAMESPACE}")
        tell.say("✓ webhook, secrets, volumes and api are ready, each with the rights of its account and no more")

    def open_api(self) -> None:
        self._lab.tell.env = {**self._lab.tell.env, **self._installation.api_access()}
