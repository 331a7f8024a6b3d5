"""An installation's life in half a minute: everything that Sutler's processes do, and all that they said meanwhile."""

import base64
import json
import secrets
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.api.client import Api, Reply
from tests.cluster import Ceph, ControlPlane, SutlerProcess, wait_for
from tests.cluster.installation import NAMESPACE, Installation
from tests.system.conftest import ALIYUN, apply, ready_condition, registry_mapping

Json = dict[str, Any]

TEAM = "team"
SOURCE = "aliyun-credentials"
ATTACHED = "external-attacher/rbd-csi-ceph-com"
"""Finalizer of volumes that nodes may have: ceph-csi's own, not Sutler's."""
_PATIENCE = 60.0


class Life:
    """`said` holds every output by its origin; `password` and its like were given to Sutler and are nowhere in it."""

    def __init__(self, control_plane: ControlPlane, ceph: Ceph, installation: Installation) -> None:
        self.control_plane = control_plane
        self.ceph = ceph
        self.installation = installation
        self.password = f"canary-{secrets.token_hex(8)}"
        self.environment = f"canary-{secrets.token_hex(8)}"
        self.wrong_token = f"canary-{secrets.token_hex(8)}"
        self.token = ""
        self.said: dict[str, str] = {}
        self.metrics: dict[str, str] = {}

    @property
    def processes(self) -> dict[str, SutlerProcess]:
        one = self.installation
        return {"webhook": one.webhook, "secrets": one.secrets, "volumes": one.volumes, "api": one.api}

    def play(self) -> None:
        self.control_plane.create_namespace(TEAM)
        self._impossible_claim()  # its warning needs ten seconds to be repeated
        self._pull_secrets()
        self._pods()
        self._volume()
        self._room()
        self._rest_api()
        self._repeated_events()
        self._listen()

    def source(self, password: str) -> Json:
        auth = base64.b64encode(f"UserName:{password}".encode()).decode()
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SOURCE, "namespace": NAMESPACE},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": json.dumps({"auths": {f"{ALIYUN}/xxxx": {"auth": auth}}})},
        }

    def _pull_secrets(self) -> None:
        """Made, rotated, in another's way, malformed, missing, and taken away."""
        kubectl = self.control_plane.kubectl
        kubectl("create", "secret", "generic", "taken", "-n", TEAM, f"--from-literal=password={self.environment}")
        mapping = registry_mapping("aliyun", f"{ALIYUN}/xxxx", copy_from=SOURCE)
        leaving = registry_mapping("leaving", f"{ALIYUN}/xxxx/left", copy_from=SOURCE)
        foreign = registry_mapping("taken", f"{ALIYUN}/xxxx/taken", copy_from=SOURCE)
        impossible = registry_mapping("impossible", "registry.example.com:99999")
        apply(self.control_plane, self.source("before"), mapping, leaving, foreign, impossible)
        self._reason("aliyun", "Synced")
        self._reason("leaving", "Synced")
        self._reason("taken", "Conflict")
        apply(self.control_plane, self.source(self.password))
        wait_for(lambda: self.password in self._copy(), "the copy to follow its source", _PATIENCE)
        broken = {**self.source(""), "stringData": {".dockerconfigjson": f"{{{self.password}"}}
        kubectl("delete", "secret", SOURCE, "-n", NAMESPACE)
        self._reason("aliyun", "SourceMissing")
        # Kubernetes itself refuses what is no JSON under the other type.
        apply(self.control_plane, {**broken, "type": "Opaque"})
        self._reason("aliyun", "SourceInvalid")
        kubectl("delete", "secret", SOURCE, "-n", NAMESPACE)
        apply(self.control_plane, self.source(self.password))
        self._reason("aliyun", "Synced")
        kubectl("delete", "registrymapping", "leaving")
        self._gone("secret", "leaving", "-n", TEAM)

    def _repeated_events(self) -> None:
        self.control_plane.kubectl("delete", "secret", SOURCE, "-n", NAMESPACE)
        self._reason("aliyun", "SourceMissing")
        wait_for(lambda: self._counted("SourceMissing"), "the event to be counted once more", _PATIENCE)
        wait_for(lambda: self._counted("ProvisioningFailed"), "the claim's warning to be counted once more", _PATIENCE)
        apply(self.control_plane, self.source(self.password))
        self._reason("aliyun", "Synced")

    def _counted(self, reason: str) -> bool:
        found = self.control_plane.kubectl_json("get", "events", "-A", f"--field-selector=reason={reason}")["items"]
        return any(event["count"] > 1 for event in found)

    @property
    def _container(self) -> Json:
        return {"name": "app", "image": f"{ALIYUN}/xxxx/app", "env": [{"name": "P", "value": self.environment}]}

    def create_pod(self) -> None:
        self.control_plane.kubectl("delete", "pod", "app", "-n", TEAM, "--now", "--ignore-not-found")
        spec = {"containers": [self._container]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"}, "spec": spec}
        body = json.dumps(pod)
        made = self.control_plane.kubectl_json("create", "-n", TEAM, "-f", "-", input=body)
        assert made["spec"]["imagePullSecrets"] == [{"name": "aliyun"}]

    def _pods(self) -> None:
        self.create_pod()
        changed = ["kubectl", f"--kubeconfig={self.control_plane.kubeconfig}", "-n", TEAM, "set", "image", "pod/app"]
        ran = subprocess.run([*changed, "app=quay.io/a/b"], capture_output=True, text=True, timeout=60, check=True)
        self.said["warnings"] = ran.stderr
        for name, content in {
            "no JSON": f'{{"{self.environment}',
            "no review": json.dumps({"kind": "Pod", "spec": self.environment}),
            "no Pod": json.dumps(_review({"spec": {"containers": self.environment}})),
            "a strange image": json.dumps(_review({"spec": {"containers": [{"image": "A b"} | self._container]}})),
        }.items():
            self.said[f"answer to {name}"] = _post(f"{self.installation.webhook.url}/mutate", content.encode())

    def _impossible_claim(self) -> None:
        self._classes("nowhere", {"pool": "nowhere"})
        self._claim("impossible", "nowhere")

    def _volume(self) -> None:
        """Made, grown, held by a group and deleted; and one that stays."""
        self._classes("rbd", {"pool": self.ceph.pool("rbd")})
        self._claim("data", "rbd")
        bound = ["get", "pvc", "data", "-n", TEAM, "-o", "jsonpath={.status.phase}"]
        wait_for(lambda: self.control_plane.kubectl(*bound) == "Bound", "the claim to be Bound", _PATIENCE)
        self._keep("volumes", "get", "pv,pvc", "-A", "-o", "yaml")
        larger = json.dumps({"spec": {"resources": {"requests": {"storage": "128Mi"}}}})
        self.control_plane.kubectl("patch", "pvc", "data", "-n", TEAM, "-p", larger)
        size = "jsonpath={.items[0].spec.capacity.storage}"
        wait_for(
            lambda: self.control_plane.kubectl("get", "pv", "-o", size) == "128Mi", "the volume to grow", _PATIENCE
        )
        name = self.control_plane.kubectl("get", "pv", "-o", "jsonpath={.items[0].metadata.name}")
        (image,) = self.ceph.rbd("ls", "rbd").split()
        self.ceph.rbd("group", "create", "rbd/trio")
        self.ceph.rbd("group", "image", "add", "rbd/trio", f"rbd/{image}")
        self.control_plane.kubectl("delete", "pvc", "data", "-n", TEAM)
        failed = ["get", "events", "-A", "--field-selector=reason=VolumeFailedDelete", "-o", "name"]
        wait_for(lambda: self.control_plane.kubectl(*failed), "the held volume's warning", _PATIENCE)
        attempts = 'controller_persistentvolume_delete_failed_total{class="rbd"}'
        metrics = self.installation.volumes.metrics
        wait_for(lambda: metrics().get(attempts, 0) > 1, "another attempt: a rate does not see the first", _PATIENCE)
        self.ceph.rbd("group", "image", "rm", "rbd/trio", f"rbd/{image}")
        self._gone("pv", name)
        self._claim("kept", "rbd")
        bound = ["get", "pvc", "kept", "-n", TEAM, "-o", "jsonpath={.status.phase}"]
        wait_for(lambda: self.control_plane.kubectl(*bound) == "Bound", "the claim to be Bound", _PATIENCE)
        (volume,) = self.control_plane.kubectl_json("get", "pv")["items"]
        attached = {"metadata": {"finalizers": [*volume["metadata"]["finalizers"], ATTACHED]}}
        name = volume["metadata"]["name"]
        self.control_plane.kubectl("patch", "pv", name, "--type=merge", "-p", json.dumps(attached))

    def _room(self) -> None:
        """Published for each class, updated when it changes, deleted with the class."""
        kubectl = self.control_plane.kubectl
        capacities = ["get", "csistoragecapacities", "-n", NAMESPACE, "-o", "jsonpath={.items[*].capacity}"]
        wait_for(lambda: kubectl(*capacities), "the capacity of the pool", _PATIENCE)
        self.ceph.ceph("osd", "pool", "set-quota", "rbd", "max_bytes", str(1 << 30))
        wait_for(lambda: kubectl(*capacities) in {"1Gi", "1023Mi"}, "the capacity that the quota leaves", _PATIENCE)
        kubectl("delete", "storageclass", "rbd")
        wait_for(lambda: not kubectl(*capacities), "the capacity to be deleted", _PATIENCE)
        self._classes("rbd", {"pool": "rbd"})
        wait_for(lambda: kubectl(*capacities), "the capacity of the pool", _PATIENCE)

    def _rest_api(self) -> None:
        access = self.installation.api_access()
        self.token = access["SUTLER_API_TOKEN"]
        api = Api(self.installation.api.url, Path(access["SUTLER_API_CA"]), token=self.token)
        replies = [api.get("/pools"), api.get("/pools/rbd/images"), api.get("/pools/nowhere/images")]
        replies.append(api.post("/pools/rbd/images", {"name": "made", "size": "1Mi"}))
        replies.append(api.post("/pools/rbd/images", b'{"' + self.environment.encode()))
        replies += [api.get("/status"), api.get("/kubernetes")]
        replies += [api.as_(token).get("/pools") for token in (None, self.wrong_token)]
        assert {reply.status for reply in replies} >= {200, 201, 400, 401, 404}, [reply.status for reply in replies]
        self.said["api"] = "\n".join(_text(reply) for reply in replies)

    def _listen(self) -> None:
        self._keep("events", "get", "events", "-A", "-o", "yaml")
        self._keep("mappings", "get", "registrymappings", "-o", "yaml")
        self._keep("pods", "get", "pods", "-A", "-o", "jsonpath={.items[*].spec.imagePullSecrets}")
        for name, process in self.processes.items():
            self.metrics[name] = process.probe("metrics")[1]
            probes = [process.probe(what)[1] for what in ("healthz", "readyz")]
            self.said[f"probes of {name}"] = "\n".join([self.metrics[name], *probes])
            self.said[f"log of {name}"] = process.log_text()

    def _keep(self, name: str, *command: str) -> None:
        self.said[name] = self.control_plane.kubectl(*command)

    def _classes(self, name: str, parameters: Json) -> None:
        apply(
            self.control_plane,
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": name},
                "provisioner": "rbd.sutler.dev",
                "allowVolumeExpansion": True,
                "parameters": {"clusterID": "ceph", **parameters},
            },
        )

    def _claim(self, name: str, storage_class: str) -> None:
        request = {"resources": {"requests": {"storage": "64Mi"}}, "accessModes": ["ReadWriteOnce"]}
        apply(
            self.control_plane,
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": name, "namespace": TEAM},
                "spec": {"storageClassName": storage_class, **request},
            },
        )

    def _copy(self) -> str:
        path = r"jsonpath={.data.\.dockerconfigjson}"
        config = json.loads(
            base64.b64decode(self.control_plane.kubectl("get", "secret", "aliyun", "-n", TEAM, "-o", path))
        )
        return "".join(base64.b64decode(entry["auth"]).decode() for entry in config["auths"].values())

    def _reason(self, mapping: str, reason: str) -> None:
        def there() -> bool:
            return ready_condition(self.control_plane, mapping).get("reason") == reason

        wait_for(there, f"mapping {mapping} to be {reason}", _PATIENCE)

    def _gone(self, *what: str) -> None:
        found = ("get", *what, "--ignore-not-found")
        wait_for(lambda: not self.control_plane.kubectl(*found), f"{' '.join(what)} to go", _PATIENCE)


def _review(pod: Json) -> Json:
    request = {"uid": "1", "operation": "CREATE", "namespace": TEAM, "object": pod}
    request["resource"] = {"group": "", "version": "v1", "resource": "pods"}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def _post(url: str, body: bytes) -> str:
    context = ssl._create_unverified_context()  # noqa: S323 - what it answers is asked, not who it is
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - our own
    try:
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:  # noqa: S310 - our own
            return str(answer.read().decode())
    except urllib.error.HTTPError as refused:
        with refused:
            return f"{refused.headers}{refused.read().decode()}"


def _text(reply: Reply) -> str:
    return f"{reply.status} {reply.headers} {reply.text}"
