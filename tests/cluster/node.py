"""A real node: kube-scheduler, containerd and kubelet, in a room of their own that leaves nothing behind."""

import contextlib
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.cluster import binaries, cgroups, images, machine, nodeconfig
from tests.cluster.control_plane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.flags import BRIDGE_ADDRESS, SERVICE_RANGE
from tests.cluster.place import Place
from tests.cluster.process import Process
from tests.cluster.room import Room, Server

# What the node's programs find at these places is theirs alone, and lies in the node's state.
_OWN_FOLDERS = {"/run": "run", "/var/lib": "lib", "/var/log": "log"}
# A Pod that hears TERM ends within a second. One whose image was never pulled can take kubelet 1.20 a minute: that is
# not waited for.
_POD_SECONDS = 3
_ROOM_GRACE = 20.0
_IMPORT_SECONDS = 60


class Node:
    """One node of a control plane that runs in the same isolated place.

    Args:
        registries: host name in image names to the port on 127.0.0.1 that serves them in plain HTTP.
        archives: OCI archives of images that are there without a pull, under the names written in them.
        proxy: also run kube-proxy: Pods then reach Services (the API server among them) at their cluster addresses.
    """

    scheduler: Process
    room: Process

    def __init__(
        self,
        control_plane: ControlPlane,
        state: Path,
        place: Place,
        *,
        registries: Mapping[str, int],
        archives: Sequence[Path] = (),
        proxy: bool = False,
    ) -> None:
        self.name = nodeconfig.NODE
        self.state = state.absolute()
        self.cgroup = f"sutler-node-{secrets.token_hex(4)}"
        self._control_plane = control_plane
        self._place = place
        self._registries = registries
        self._archives = archives
        self._proxy = proxy
        self._undo = contextlib.ExitStack()

    @staticmethod
    def missing() -> list[str]:
        """What this machine lacks for a node, each with the way out."""
        return machine.missing()

    def start(self) -> None:
        """Start everything and wait until the node is Ready."""
        if not self._place.isolated:
            raise ClusterError(
                "a node needs a network namespace of its own: give it, and its cluster, Place.namespace()"
            )
        if lacks := self.missing():
            raise ClusterError("this machine can't run a node; it lacks " + "; ".join(lacks))
        self._binaries = binaries.ensured(*binaries.NODE)
        self._containerd = self._binaries.containerd
        try:
            self._write_files()
            self._make_bridge()
            self._start_room()
            self._start_scheduler()
            self._import_images()
            self.room.until(self._ready, "the node to be Ready", 60)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the scheduler, delete the node's Pods, end its processes, and take its cgroups and its bridge away."""
        self._undo.close()

    def import_image(self, archive: Path) -> None:
        """Make the images of an OCI archive known to the node, under the names written in it."""
        # By where it runs: a Unix socket's path is 107 bytes at most, a state folder may lie deep, and newer ones take
        # the first part of a relative path for a host.
        address = f"--address=/proc/self/cwd{nodeconfig.CONTAINERD_SOCKET}"
        ctr = [str(self._containerd / "ctr"), address, "--namespace=k8s.io", f"--timeout={_IMPORT_SECONDS}s"]
        ran = subprocess.run(
            [*ctr, "images", "import", archive.absolute()], cwd=self.state, capture_output=True, text=True, check=False
        )
        if ran.returncode != 0:
            raise ClusterError(f"containerd did not import {archive}: {ran.stderr.strip()}\n{self.room.tail()}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _write_files(self) -> None:
        snapshotter = machine.snapshotter(self._folder("."))
        cni_plugins = str(machine.cni_folder())
        for folder in _OWN_FOLDERS.values():
            self._folder(folder)
        own = self._folder("run/node")
        (own / "containerd.toml").write_text(nodeconfig.containerd(snapshotter, cni_plugins))
        (own / "kubelet.json").write_text(nodeconfig.kubelet(minor=self._binaries.minor))
        (self._folder("run/node/cni") / "pods.conflist").write_text(nodeconfig.cni())
        for host, port in self._registries.items():
            (self._folder(f"run/node/registries/{host}") / "hosts.toml").write_text(
                nodeconfig.registry_hosts(host, port)
            )
        (own / "hosts").write_text(nodeconfig.host_names(self._registries))
        for setting, value in nodeconfig.KERNEL_SETTINGS.items():
            self._kernel_setting(setting).write_text(f"{value}\n")
        (self.state / "room.json").write_text(self._room().dumps())

    def _room(self) -> Room:
        return Room(
            cgroup=self.cgroup,
            directories={target: str(self.state / folder) for target, folder in _OWN_FOLDERS.items()},
            files={
                "/etc/hosts": str(self.state / "run/node/hosts"),
                **{setting: str(self._kernel_setting(setting)) for setting in nodeconfig.KERNEL_SETTINGS},
            },
            keep=[
                str(self.state),
                str(self._control_plane.kubeconfig.absolute().parent),
                str(self._binaries.folder),
                str(self._containerd),
            ],
            servers=self._servers(),
            programs=str(self._containerd),
        )

    def _servers(self) -> list[Server]:
        kubeconfig = self._control_plane.kubeconfig.absolute()
        containerd = [str(self._containerd / "containerd"), "--config", "/run/node/containerd.toml"]
        kubelet = nodeconfig.kubelet_flags(kubeconfig, minor=self._binaries.minor)
        servers = [
            Server(containerd, self._log("containerd"), socket=nodeconfig.CONTAINERD_SOCKET),
            Server([str(self._binaries.path("kubelet")), *kubelet], self._log("kubelet")),
        ]
        if self._proxy:
            proxy = [str(self._binaries.path("kube-proxy")), *nodeconfig.proxy_flags(kubeconfig)]
            servers.append(Server(proxy, self._log("kube-proxy")))
        return servers

    def _start_room(self) -> None:
        self._undo.callback(self._remove_cgroups)
        argv = [*machine.ROOM, str(self.state / "room.json")]
        log = Path(self._log("room"))
        self.room = Process.started(argv, place=self._place, log=log, cwd=machine.REPOSITORY)
        self._undo.callback(self.room.stop, _ROOM_GRACE)
        self._undo.callback(self._delete_pods)

    def _remove_cgroups(self) -> None:
        """The room's keeper does that, unless it was killed."""
        for subtree in cgroups.existing(self.cgroup):
            cgroups.remove(subtree)

    def _start_scheduler(self) -> None:
        flags = nodeconfig.scheduler_flags(self._control_plane.kubeconfig, minor=self._binaries.minor)
        argv = [str(self._binaries.path("kube-scheduler")), *flags]
        self.scheduler = Process.started(argv, place=self._place, log=Path(self._log("scheduler")))
        self._undo.callback(self.scheduler.stop)

    def _import_images(self) -> None:
        pause = images.write_image(self.state / "pause.tar", nodeconfig.PAUSE_IMAGE, command=images.PAUSE)
        socket = self.state / nodeconfig.CONTAINERD_SOCKET.lstrip("/")
        self.room.until(socket.exists, "containerd's socket")
        for archive in (pause, *self._archives):
            self.import_image(archive)

    def _ready(self) -> bool:
        path = '{.status.conditions[?(@.type=="Ready")].status}'
        return (
            self._control_plane.kubectl("get", "node", self.name, "--ignore-not-found", "-o", f"jsonpath={path}")
            == "True"
        )

    def _delete_pods(self) -> None:
        """As far as the API server still answers: what is left ends with the room."""
        if not self._control_plane.ready():
            return
        pods = ["delete", "pods", "--all-namespaces", f"--field-selector=spec.nodeName={self.name}"]
        try:
            with contextlib.suppress(ClusterError):
                self._control_plane.kubectl(*pods, "--grace-period=2", f"--timeout={_POD_SECONDS}s")
            self._control_plane.kubectl(*pods, "--grace-period=0", "--force", "--timeout=10s")
            self._control_plane.kubectl("delete", "node", self.name, "--ignore-not-found", "--timeout=10s")
        except (ClusterError, subprocess.TimeoutExpired) as error:
            print(f"{self.name}: its Pods end with it, the API server does not know: {error}")

    def _make_bridge(self) -> None:
        """The Pods' bridge. The node's address is on it: the kubelet accepts no loopback address as its own."""
        self._ip("link", "add", nodeconfig.BRIDGE, "type", "bridge")
        self._undo.callback(self._ip, "link", "delete", nodeconfig.BRIDGE)
        self._ip("address", "add", f"{BRIDGE_ADDRESS}/16", "dev", nodeconfig.BRIDGE)
        self._ip("link", "set", nodeconfig.BRIDGE, "up")
        # For kube-proxy: a packet to a Service has to have a route before its address is translated.
        self._ip("route", "add", SERVICE_RANGE, "dev", nodeconfig.BRIDGE)

    def _ip(self, *arguments: str) -> None:
        command = [*self._place.prefix, "ip", *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        if ran.returncode != 0:
            raise ClusterError(f"ip {' '.join(arguments)}: {ran.stderr.strip()}")

    def _folder(self, name: str) -> Path:
        folder = self.state / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _kernel_setting(self, path: str) -> Path:
        return self._folder("kernel") / path.removeprefix("/proc/sys/").replace("/", ".")

    def _log(self, name: str) -> str:
        return str(self.state / f"{name}.log")
