"""Texts for pull failures that have nothing to do with credentials: the cause, and what to do. Pure: no I/O."""

from sutler.cli.check.kubelet_messages import KubeletMessage
from sutler.cli.check.pull_failures import PullFailure
from sutler.registry.image import ImageReference

_TEXTS = {
    PullFailure.NEVER: (
        "imagePullPolicy Never forbids the pull, and {node} lacks the image or may not use it for this Pod (kubelets "
        "since 1.35 require a credential that the image was pulled with)"
    ),
    PullFailure.NAME: "the kubelet cannot parse its name. Correct the name in the object that creates the Pod",
    PullFailure.SHORT_NAME: (
        "{node} does not know the registry of this short name. Write {full} in the object that creates the Pod"
    ),
    PullFailure.SIGNATURE: (
        "{node} does not accept its signature. Sign the image, or correct the signature policy of the node"
    ),
    PullFailure.PACE: (
        "the kubelet of {node} starts no more pulls for now (its registryPullQPS). It retries automatically"
    ),
    PullFailure.RATE: "{host} allows {node} no more pulls for now. The kubelet retries automatically",
    PullFailure.PROXY: (
        "the proxy of {node} rejects the connection. Correct the proxy settings of its container runtime"
    ),
    PullFailure.DISK: "the disk of {node} is full or broken. Free space on it, or move the Pod to another node",
    PullFailure.DNS: (
        "{node} cannot resolve host {host} in DNS. Correct the host in the image's name, or the DNS of the node"
    ),
    PullFailure.PLAIN_HTTP: (
        "{node} uses HTTPS for {host}, which serves HTTP. Configure its container runtime for HTTP"
    ),
    PullFailure.TIMEOUT: (
        "{host} does not answer {node} in time. Find out what delays or drops the connection between them"
    ),
    PullFailure.CERTIFICATE: (
        "{node} does not trust the certificate of {host}. Install its CA on the node, or replace the certificate"
    ),
    PullFailure.REFUSED: "{host} refuses connections from {node}. Check that the registry runs, and the port",
    PullFailure.UNREACHABLE: "{node} has no route to {host}. Repair the network of the node",
    PullFailure.CUT: "the connection from {node} to {host} broke. The kubelet retries automatically",
    PullFailure.PLATFORM: (
        "it was not built for the platform of {node}. Build it for that platform, or select other nodes"
    ),
    PullFailure.FORMAT: (
        "{host} has content that the container runtime of {node} does not accept as an image. Build and push it again"
    ),
    PullFailure.DAMAGED: "{node} received data that does not match the image's manifest from {host}. Push it again",
    PullFailure.RULE: (
        "{host} rejects it by a rule of its own, such as a firewall or a policy. Ask the operator of the registry"
    ),
    PullFailure.SERVER: "{host}, or a proxy before it, fails. The kubelet retries automatically",
    PullFailure.NOT_FOUND: "{host} has no such image. Correct its name or tag, or push it",
    PullFailure.RUNTIME: "the container runtime of {node} fails. Read its log on the node",
}

_NODE_FAILURES = frozenset(
    (PullFailure.DISK, PullFailure.RUNTIME, PullFailure.PLATFORM, PullFailure.PROXY, PullFailure.PACE)
)


def failure_text(message: KubeletMessage, image: ImageReference | None, node: str) -> str:
    """Why the pull failed and what to do. `node` may be empty."""
    host = message.host or (image.domain if image else "") or "the registry"
    return _TEXTS[message.kind].format(node=f"node {node}" if node else "the node", host=host, full=_full_name(image))


def is_node_failure(kind: PullFailure) -> bool:
    """Whether `kubectl describe node` may show more."""
    return kind in _NODE_FAILURES


def _full_name(image: ImageReference | None) -> str:
    if image is None:
        return "the full name"
    tag, digest = f":{image.tag}" if image.tag else "", f"@{image.digest}" if image.digest else ""
    return f"{image.name}{tag}{digest}"
