"""etcd, kube-apiserver and kube-controller-manager as three processes with all state in one directory."""

import base64
import json
import secrets
import subprocess
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import binaries, flags, kubectl_requests, pki, probe
from tests.cluster.errors import ClusterError
from tests.cluster.kept_connections import Answer, KeptConnections
from tests.cluster.place import Place
from tests.cluster.process import Process
from tests.cluster.wait import PATIENCE, wait_for

# The API server waits for its watchers before it ends; ours come back by themselves.
_APISERVER_GRACE = 3.0
# Seconds for a start, which takes 5: a start that hangs is reported, and a busy machine is not taken for one.
_START = 150.0
_NEEDS_NO_TOKEN = 24  # minor version
# Go's garbage collector at rest while there is memory: cores are what a run of the tests is short of.
_SPARE_CORES = {"GOGC": "400", "GOMEMLIMIT": "600MiB"}


class ControlPlane:
    """A Kubernetes without nodes: admission, RBAC, watches, the volume binder and garbage collection are real."""

    etcd: Process
    apiserver: Process
    controller_manager: Process

    def __init__(self, state: Path, place: Place, audit_policy: str = flags.AUDIT_POLICY) -> None:
        self.state = state
        self.place = place
        self._audit_policy = audit_policy
        self.kubeconfig = state / "admin.kubeconfig"
        self.audit_log = state / "audit.log"
        self._started: list[Process] = []
        self._token = secrets.token_urlsafe(24)
        self._connections = KeptConnections(state / "pki" / "ca.crt")

    def start(self) -> None:
        self._binaries = binaries.ensured(*binaries.CONTROL_PLANE)
        self._ports = flags.Ports(*self.place.ports(3))
        self.url = f"https://127.0.0.1:{self._ports.apiserver}"
        self.etcd_url = f"http://127.0.0.1:{self._ports.etcd}"
        self._write_files()
        try:
            self.etcd = self._start(self._binaries.etcd, flags.etcd(self.state, self._ports))
            self._start_apiserver()
            self._start_controller_manager()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all three, the last started first."""
        self._connections.close()
        for process in reversed(self._started):
            process.stop(_APISERVER_GRACE)
        self._started.clear()

    def restart_apiserver(self) -> None:
        """A crash and a new start: same port, same etcd, all watches cut."""
        self.apiserver.restart()
        self.wait_ready()

    def wait_ready(self) -> None:
        self.apiserver.until(self.ready, "the API server's /readyz", _START, needs=[self.etcd])

    def pause(self) -> None:
        """Freeze the API server: connections stay open and nothing is answered."""
        self.apiserver.freeze()

    def resume(self) -> None:
        self.apiserver.resume()

    def ready(self) -> bool:
        return probe.get(f"{self.url}/readyz", self.state / "pki" / "ca.crt", timeout=2)[0] == HTTPStatus.OK

    def kubectl(self, *args: str, input: str | None = None, timeout: float = 60) -> str:  # noqa: A002 - as in subprocess.run
        """Do what kubectl does as the administrator, and return what it prints.

        Where kubectl itself need not be started, it prints only what `-o json`, `-o name` or `get --raw` ask for.

        Raises:
            ClusterError: with the command and the error that it shows, when it failed.
        """
        wanted = kubectl_requests.requests(args, input)
        if wanted is not None:
            return "".join(kubectl_requests.printed(self._answer(one, timeout), one.output) for one in wanted)
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}", *args]
        ran = subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout, check=False)
        if ran.returncode != 0:
            raise ClusterError(f"kubectl {' '.join(args)}: {ran.stderr.strip() or ran.stdout.strip()}")
        return ran.stdout

    def kubectl_json(self, *args: str, input: str | None = None) -> Any:  # noqa: A002 - as in subprocess.run
        """What `kubectl -o json` prints; to read, kubectl itself is not started where that is not needed."""
        words = [*args, "-o", "json"]
        wanted = kubectl_requests.requests(words, input)
        if wanted is None:
            return json.loads(self.kubectl(*words, input=input))
        (one,) = wanted
        return kubectl_requests.shown(self._answer(one))

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """Of the administrator to the API server; ClusterError when it is refused or not answered."""
        return json.loads(self.warned_request(method, path, body, content_type)[0])

    def warned_request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> tuple[str, list[str]]:
        """As `request`: the text of the answer, and the warnings that kubectl shows."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type, "User-Agent": "tests"}
        data = None if body is None else json.dumps(body).encode()

        def answer() -> Answer | None:
            given = self._connections.call(self._ports.apiserver, method, path, data, headers)
            # As while the API server makes the storage of a new kind, or the token of a new account.
            return None if given.again else given

        status, text, warnings, _ = wait_for(answer, f"{method} {path} to be served")
        if status not in {HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED}:
            raise ClusterError(f"{method} {path}: {status} {_message(text)}")
        return text, warnings

    def there(self, path: str) -> Any:
        """The object at this path; None if there is none."""
        found = self._unless_absent("GET", path)
        return None if found is None else kubectl_requests.shown(found)

    def _unless_absent(self, method: str, path: str, body: Any = None) -> Any:
        """The answer; None where there is no such object."""
        try:
            return self.request(method, path, body)
        except ClusterError as error:
            if f"{path}: {HTTPStatus.NOT_FOUND:d} " not in str(error):
                raise
            return None

    def _answer(self, wanted: kubectl_requests.Request, timeout: float = PATIENCE) -> Any:
        """None where there is no such object, and that is an answer; a raw one is text."""
        if wanted.output == "raw":
            return self.warned_request(wanted.method, wanted.path)[0]
        if wanted.may_be_absent:
            answer = self._unless_absent(wanted.method, wanted.path, wanted.body)
        else:
            answer = self.request(wanted.method, wanted.path, wanted.body, wanted.content_type)
        if answer is not None and wanted.waits and "items" in answer:
            wait_for(lambda: not self.request("GET", wanted.path)["items"], f"all of {wanted.path} to go", timeout)
        elif answer is not None and wanted.waits:
            # The object as it was, or a Status that names it.
            uid = (answer.get("details") or answer["metadata"])["uid"]

            def is_gone() -> bool:
                now = self.there(wanted.path)
                return now is None or now["metadata"]["uid"] != uid

            wait_for(is_gone, f"{wanted.path} to go", timeout)
        return answer

    def apply_crds(self, folder: Path) -> None:
        """Return when the API server serves their kinds."""
        self.kubectl("apply", "-f", str(folder))
        self.wait_served(folder.glob("*.yaml"))

    def wait_served(self, crds: Iterable[Path]) -> None:
        """Return when the API server serves the kinds of these files."""
        specs = [yaml.safe_load(one.read_text())["spec"] for one in crds]
        paths = [f"/apis/{one['group']}/{one['versions'][0]['name']}/{one['names']['plural']}" for one in specs]
        wait_for(lambda: all(self.there(path) is not None for path in paths), f"{paths} to be served")

    def create_namespace(self, name: str) -> None:
        """Return when Pods can be created in it, which is when it has its default service account."""
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self.request("POST", "/api/v1/namespaces", made)
        wait_for(lambda: self._has_default_account(name), f"the default service account in {name}")

    def empty_namespace(self, name: str) -> None:
        """Delete what controllers act on, and leave the namespace: its own deletion takes 70 requests."""
        for plural in ("pods", "persistentvolumeclaims", "secrets"):
            self.request("DELETE", f"/api/v1/namespaces/{name}/{plural}?gracePeriodSeconds=0")

    def kubeconfig_for(self, namespace: str, serviceaccount: str) -> Path:
        """A kubeconfig with a token of this service account, good for a day."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "metadata": {},
            "spec": {"expirationSeconds": 86_400},
        }
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{serviceaccount}/token"
        answer = self.request("POST", path, body)
        target = self.state / f"{namespace}.{serviceaccount}.kubeconfig"
        self._write_kubeconfig(target, answer["status"]["token"], namespace)
        return target

    def _start(self, program: Path, argv: list[str]) -> Process:
        log = self.state / f"{program.name}.log"
        process = Process.started([program, *argv], place=self.place, log=log, env=_SPARE_CORES)
        self._started.append(process)
        return process

    def _start_apiserver(self) -> None:
        bind = "0.0.0.0" if self.place.isolated else "127.0.0.1"  # noqa: S104 - all there is are the cluster's Pods
        argv = flags.apiserver(self.state, self._ports, bind=bind, minor=self._binaries.minor)
        self.apiserver = self._start(self._binaries.path("kube-apiserver"), argv)
        self.wait_ready()

    def _start_controller_manager(self) -> None:
        argv = flags.controller_manager(self.state, minor=self._binaries.minor)
        self.controller_manager = self._start(self._binaries.path("kube-controller-manager"), argv)
        # It works when it has made what admission of the first Pod needs.
        self.controller_manager.until(
            self._has_default_account, "the controller manager's first service account", _START
        )

    def _has_default_account(self, namespace: str = "default") -> bool:
        found = self.there(f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
        # Older servers reject Pods of an account that has no token yet.
        return found is not None and (self._binaries.minor >= _NEEDS_NO_TOKEN or bool(found.get("secrets")))

    def _write_files(self) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        pki.write(self.state / "pki", flags.SERVER_ADDRESSES, flags.SERVER_NAMES)
        (self.state / "audit-policy.yaml").write_text(self._audit_policy)
        tokens = self.state / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f'{self._token},admin,admin,"system:masters"\n')
        self._write_kubeconfig(self.kubeconfig, self._token, "default")
        self.place.forward(self._ports.apiserver)

    def _write_kubeconfig(self, target: Path, token: str, namespace: str) -> None:
        authority = base64.b64encode((self.state / "pki" / "ca.crt").read_bytes()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url, "certificate-authority-data": authority}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        }
        target.touch(mode=0o600)
        target.write_text(yaml.safe_dump(config))


def _message(answer: str) -> str:
    """The sentence of a Status; else the answer as it is."""
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return answer.strip()
