"""The real parts of the story: a cluster, with a node if the machine allows, registries, and a Ceph."""

import base64
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.cluster import Place, binaries, ceph_programs, dockerfile, images, needs
from tests.cluster.ceph import Ceph
from tests.cluster.control_plane import ControlPlane
from tests.cluster.node import Node
from tests.cluster.registry import Registry
from tests.demo.narrator import Narrator

EXAMPLES = Path("manifests/examples")
USERS = {"UserName": "Password"}
ALIYUN = "registry.cn-hangzhou.aliyuncs.com"
EXAMPLE = "registry.example.com"
PUBLIC = "registry.local"
POOLS = ("rbd", "rbd1")
REPOSITORIES = ("xxxx/rbd-rest-api:latest", "xxxx/test:latest", "team/test:latest")
# The image of the image volume's Pod. Its content differs from the private images, whose layers need a credential.
BUSYBOX = "docker.io/library/busybox:latest"
SUTLER_VERSION = "0.1.0"


class Lab:
    """Starts on entering and leaves nothing behind on leaving."""

    node: Node | None = None
    image: Path
    """The OCI archive of Sutler's image; only with a node."""
    public: Registry
    """The registry without a password; only with a node."""

    def __init__(self, state: Path, narrator: Narrator) -> None:
        self.state = state.absolute()
        self.commands = self.state / "bin"
        """The folder of commands that PATH lacks, or has in another version."""
        self.narrator = narrator
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.stack = stack
            self._start()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    @property
    def why_no_pods(self) -> str:
        """The reason why Sutler cannot run as Pods; empty if it can."""
        if self.node is None:
            return "there is no node"
        return needs.lacking("older ones support no folders among an overlay's resources", kubectl="1.21")

    @property
    def why_no_image_volume(self) -> str:
        if self.node is None:
            return "there is no node to run it"
        return needs.lacking("older ones mount no image as a volume", kubernetes="1.35", containerd="2.1")

    def _start(self) -> None:
        binaries.first_on_path()
        missing = Node.missing()
        if missing:
            self.narrator.explain("No node on this machine: " + "; ".join(missing))
        self._make(with_node=not missing)
        self.place = self.stack.enter_context(Place.host() if missing else Place.namespace())
        self.control = ControlPlane(self.state / "control-plane", self.place)
        self.ceph = Ceph(self.state / "ceph", self.place)
        self.registry = Registry(self.state / "registry", self.place, users=USERS)
        self.public = Registry(self.state / "public-registry", self.place, users={})
        jobs = [self._start_kubernetes, self._start_ceph, self._start_registries]
        self._side_by_side(jobs if missing else [*jobs, self._write_image])
        self._link_commands()
        self.narrator.env = {
            "KUBECONFIG": str(self.control.kubeconfig),
            "CEPH_CONF": str(self.ceph.conf),
            "PATH": f"{self.commands}:{os.environ['PATH']}",
        }

    def _make(self, *, with_node: bool) -> None:
        """Build what takes minutes the first time, one after the other, before anything runs."""
        made = binaries.ensured(*binaries.CONTROL_PLANE, *(binaries.NODE if with_node else ()))
        ceph_programs.ensured(ceph_programs.named())
        if with_node:
            made.containerd  # noqa: B018 - builds it where it has to
            dockerfile.ensured()

    @staticmethod
    def _side_by_side(jobs: list[Callable[[], None]]) -> None:
        with ThreadPoolExecutor(len(jobs)) as threads:
            running = [threads.submit(job) for job in jobs]
        for one in running:
            one.result()

    def _start_kubernetes(self) -> None:
        self._run(self.control, "a control plane: etcd, kube-apiserver, kube-controller-manager")
        if self.place.isolated:
            ports = dict.fromkeys((ALIYUN, EXAMPLE), self.registry.port) | {PUBLIC: self.public.port}
            busybox = images.write_image(self.state / "busybox.tar", BUSYBOX, files={"www/busybox": "busybox\n"})
            node = Node(self.control, self.state / "node", self.place, registries=ports, archives=[busybox], proxy=True)
            self._run(node, "a node: kube-scheduler, kubelet, containerd, kube-proxy")
            self.node = node

    def _start_ceph(self) -> None:
        self._run(self.ceph, "a Ceph: monitor, manager, OSD")
        for pool in POOLS:
            self.ceph.pool(pool)

    def _start_registries(self) -> None:
        self._run(self.registry, "a registry with a password")
        archive = images.write_image(self.state / "application.tar")
        for repository in REPOSITORIES:
            self.registry.push(repository, archive)
        if self.place.isolated:
            self._run(self.public, "a registry without a password")

    def _write_image(self) -> None:
        self.image = dockerfile.write_archive(self.state / "sutler.tar")

    def _run(self, part: ControlPlane | Ceph | Registry | Node, what: str) -> None:
        part.start()
        self.stack.callback(part.stop)
        self.narrator.explain(f"✓ {what}")

    def _link_commands(self) -> None:
        self.commands.mkdir(parents=True)
        own = Path(".venv/bin").absolute()
        kubectl = binaries.present().folder / "kubectl"
        for command in (own / "sutler", own / "kubectl-sutler", kubectl):
            if command.exists():
                (self.commands / command.name).symlink_to(command)

    def example(self, name: str) -> str:
        """Return the path of an example; without a node, of a copy with the registry of this lab."""
        path = EXAMPLES / name
        if self.node:
            return str(path)
        local = self.state / name
        aliyun, example = self.hosts
        local.write_text(path.read_text().replace(ALIYUN, aliyun).replace(EXAMPLE, example))
        return str(local)

    @property
    def hosts(self) -> tuple[str, str]:
        """The names of the two private registries in images of Pods."""
        return (
            (ALIYUN, EXAMPLE) if self.node else (f"localhost:{self.registry.port}", f"127.0.0.1:{self.registry.port}")
        )

    def auth_file(self, namespace: str, secret: str) -> Path:
        """Write the docker config of a pull secret to a file, and return its path."""
        data = self.control.kubectl_json("get", "secret", secret, "-n", namespace)["data"][".dockerconfigjson"]
        path = self.state / f"{namespace}.{secret}.json"
        path.touch(mode=0o600)
        path.write_bytes(base64.b64decode(data))
        return path
