"""Everything of the story, for real: a cluster, with a node if the machine allows, a registry, a Ceph, and Sutler."""

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.cluster import Place, images
from tests.cluster.ceph import Ceph
from tests.cluster.control_plane import ControlPlane
from tests.cluster.environment import Environment
from tests.cluster.installation import Installation
from tests.cluster.node import Node
from tests.cluster.registry import Registry
from tests.demo.narrator import Narrator

EXAMPLES = Path("manifests/examples")
USERS = {"UserName": "Password"}
ALIYUN = "registry.cn-hangzhou.aliyuncs.com"
EXAMPLE = "registry.example.com"
POOLS = ("rbd", "rbd1")
REPOSITORIES = ("xxxx/rbd-rest-api:latest", "xxxx/test:latest", "team/test:latest")


class Lab:
    """Starts on entering and leaves nothing behind on leaving."""

    def __init__(self, state: Path, narrator: Narrator) -> None:
        self.state = state
        self.tell = narrator
        self.environment = Environment(state / "environment")
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        # Nothing else needs a wheel before the cluster runs.
        building = stack.enter_context(ThreadPoolExecutor(1)).submit(Environment.built, self.environment.folder)
        missing = Node.missing()
        if missing:
            self.tell.say("No node on this machine: " + "; ".join(missing))
        self.place = stack.enter_context(Place.host() if missing else Place.namespace())
        self.control = ControlPlane(self.state / "control-plane", self.place)
        self.ceph = Ceph(self.state / "ceph", self.place)
        self.registry = Registry(self.state / "registry", self.place, users=USERS)
        for part in (self.control, self.ceph, self.registry):
            part.start()
            stack.callback(part.stop)
            self.tell.say(f"✓ {type(part).__name__} runs")
        self.node = None if missing else self._start_node(stack)
        self._fill()
        building.result()
        self.tell.say("✓ Sutler's wheel is built and installed in an environment of its own")
        self.tell.env = {
            "KUBECONFIG": str(self.control.kubeconfig),
            "CEPH_CONF": str(self.ceph.conf),
            "PATH": f"{self.environment.sutler.parent}:{os.environ['PATH']}",
        }

    def _start_node(self, stack: ExitStack) -> Node:
        port = self.registry.port
        node = Node(self.control, self.state / "node", self.place, registries={ALIYUN: port, EXAMPLE: port})
        node.start()
        stack.callback(node.stop)
        self.tell.say("✓ a Node is Ready")
        return node

    def _fill(self) -> None:
        archive = images.write_image(self.state / "application.tar")
        for repository in REPOSITORIES:
            self.registry.push(repository, archive)
        for pool in POOLS:
            self.ceph.pool(pool)

    def install(self) -> None:
        """The README's installation, changed only where a laptop differs."""
        self.tell.say("The Deployments need an image in a registry; here their commands run beside the cluster.")
        self.tell.say("$ kubectl apply -f manifests/crds")
        self.tell.say("$ kubectl apply -k manifests/base  (without Deployments, with the webhook by URL)")
        state = self.state / "sutler"
        installation = Installation(self.control, self.ceph, self.place, state, self.environment)
        installation.start()
        self._stack.callback(installation.stop)
        self.tell.env = {**self.tell.env, **installation.api_access()}
        self.tell.run("kubectl get serviceaccounts -n sutler-system")
        self.tell.say("✓ webhook, secrets, volumes and api are ready, each with the rights of its account and no more")

    def example(self, name: str) -> str:
        """The path of an example; without a node, of a copy whose private registries are the one of this lab."""
        path = EXAMPLES / name
        if self.node:
            return str(path)
        local = self.state / name
        aliyun, example = self.hosts
        local.write_text(path.read_text().replace(ALIYUN, aliyun).replace(EXAMPLE, example))
        return str(local)

    @property
    def hosts(self) -> tuple[str, str]:
        """The two private registries' names in Pods' images."""
        return (
            (ALIYUN, EXAMPLE) if self.node else (f"localhost:{self.registry.port}", f"127.0.0.1:{self.registry.port}")
        )

    def auth_file(self, namespace: str, secret: str) -> Path:
        """The very docker config that the Pod's pull secret holds, as a file."""
        data = self.control.kubectl_json("get", "secret", secret, "-n", namespace)["data"][".dockerconfigjson"]
        path = self.state / f"{namespace}.{secret}.json"
        path.touch(mode=0o600)
        path.write_bytes(base64.b64decode(data))
        return path
