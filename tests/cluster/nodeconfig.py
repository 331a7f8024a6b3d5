"""The configuration of the node's programs as text, with each path as inside the node's sandbox."""

import json
from collections.abc import Iterable
from pathlib import Path

from tests.cluster.flags import BRIDGE_ADDRESS

PAUSE_IMAGE = "sutler.test/pause:1"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
KUBELET_CONFIGURATION = "/run/node/kubelet.json"
CNI_CONFIGURATION = "/run/node/cni"
REGISTRY_HOSTS = "/run/node/registries"
NODE = "node"
BRIDGE = "node0"
POD_NETWORK = "10.244.0.0/16"

# What the kubelet would otherwise set for the whole machine. It finds them set, and leaves the machine's alone.
KERNEL_SETTINGS = {
    "/proc/sys/vm/overcommit_memory": "1",
    "/proc/sys/vm/panic_on_oom": "0",
    "/proc/sys/kernel/panic": "10",
    "/proc/sys/kernel/panic_on_oops": "1",
    "/proc/sys/kernel/keys/root_maxkeys": "1000000",
    "/proc/sys/kernel/keys/root_maxbytes": "25000000",
}


def containerd(snapshotter: str, cni_plugins: str) -> str:
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE no process may lower an OOM score, and runc dies of the attempt.
    # disabled_plugins: "opt" makes a directory in /opt, the others are snapshotters that are not used.
    return f"""\
version = 2
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_plugins}"
    conf_dir = "{CNI_CONFIGURATION}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{REGISTRY_HOSTS}"
"""


def registry_hosts(host: str, port: int) -> str:
    """A hosts.toml of containerd's: the registry of this name speaks plain HTTP on this port."""
    url = f"http://{_name(host)}:{port}"
    return f"""\
server = "{url}"
[host."{url}"]
  capabilities = ["pull", "resolve"]
"""


def host_names(registries: Iterable[str]) -> str:
    """The node's /etc/hosts, which finds every registry on this machine."""
    return "".join(f"127.0.0.1 {_name(host)}\n" for host in ("localhost", *registries))


def _name(host: str) -> str:
    """Without the port that image names may have, too."""
    return host.partition(":")[0]


def cni() -> str:
    return json.dumps(
        {
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": BRIDGE,
                    "isGateway": True,
                    "hairpinMode": True,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": "/run/node/addresses",
                        "ranges": [[{"subnet": POD_NETWORK, "gateway": BRIDGE_ADDRESS}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
            ],
        },
        indent=1,
    )


def kubelet(*, minor: int) -> str:
    """A KubeletConfiguration (JSON is YAML) for a node that shares its machine with others' work.

    Cgroups per quality of service would ask for the whole machine's; thresholds of eviction are so small because a disk
    that is nearly full is the machine's business. Statuses are sent every second, so that a node is Ready soon.
    """
    nearly_nothing = {
        "memory.available": "1Mi",
        "nodefs.available": "1Mi",
        "nodefs.inodesFree": "1",
        "imagefs.available": "1Mi",
    }
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": BRIDGE_ADDRESS,
            "healthzPort": 0,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupsPerQOS": False,
            "enforceNodeAllocatable": [],
            "clusterDNS": ["10.244.255.254"],  # of no server: without one every Pod gets a Warning event
            "clusterDomain": "cluster.local",
            "evictionHard": nearly_nothing,
            "failSwapOn": False,
            **(
                {} if minor < 31 else {"failCgroupV1": False}
            ),  # which a machine may have; refused by default since 1.35
            "imageGCHighThresholdPercent": 100,
            "nodeStatusUpdateFrequency": "1s",
            "oomScoreAdj": 0,
            "protectKernelDefaults": True,
            "readOnlyPort": 0,
            "resolvConf": "/dev/null",
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        },
        indent=1,
    )


def kubelet_flags(kubeconfig: Path, *, minor: int) -> list[str]:
    # The dockershim was the default before 1.24, the flag that says otherwise is gone since 1.27.
    remote = ["--container-runtime=remote"] if minor < 24 else []
    return [
        f"--kubeconfig={kubeconfig}",
        f"--config={KUBELET_CONFIGURATION}",
        f"--container-runtime-endpoint=unix://{CONTAINERD_SOCKET}",
        f"--hostname-override={NODE}",
        f"--node-ip={BRIDGE_ADDRESS}",
        *remote,
    ]


def scheduler_flags(kubeconfig: Path, *, minor: int) -> list[str]:
    # Before 1.24 a second, plain-text port is open unless it is closed.
    insecure = ["--port=0"] if minor < 24 else []
    return [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0", *insecure]


def proxy_flags(kubeconfig: Path) -> list[str]:
    # Zeros: settings of connection tracking that are the whole machine's stay as they are.
    return [
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={NODE}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={POD_NETWORK}",
        "--conntrack-max-per-core=0",
        "--conntrack-min=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
        "--healthz-bind-address=",
        "--metrics-bind-address=",
    ]
