"""What a pull failed at, and what to do, where it has nothing to do with credentials. Pure."""

from sutler.cli.doctor.kubelet_messages import KubeletMessage
from sutler.cli.doctor.phrases import PullFailure
from sutler.registry.image import ImageReference

_WHY = {
    PullFailure.NEVER: (
        "imagePullPolicy Never forbids the pull, and {node} lacks the image or may not use it for this Pod (kubelets "
        "since 1.35 want a credential with which it was pulled)"
    ),
    PullFailure.NAME: "the kubelet can't read its name. Correct it where the Pod comes from",
    PullFailure.SHORT_NAME: (
        "{node} does not know which registry this short name means. Write {full} where the Pod comes from"
    ),
    PullFailure.SIGNATURE: (
        "{node} does not accept its signature. Sign the image, or correct the signature policy of the node"
    ),
    PullFailure.PACE: (
        "the kubelet of {node} starts no more pulls for now (its registryPullQPS). It tries again by itself"
    ),
    PullFailure.RATE: "{host} allows {node} no more pulls for now. The kubelet tries again by itself",
    PullFailure.PROXY: (
        "the proxy of {node} does not let it through. Correct the proxy settings of its container runtime"
    ),
    PullFailure.DISK: "the disk of {node} is full or broken. Free space on it, or move the Pod to another node",
    PullFailure.DNS: (
        "{node} does not find host {host} in DNS. Correct the host in the image's name, or the DNS of the node"
    ),
    PullFailure.PLAIN_HTTP: "{node} asks {host} by HTTPS and gets HTTP. Configure its container runtime for HTTP",
    PullFailure.TIMEOUT: (
        "{node} gets no answer from {host} in time. Look for what delays or drops it on the way between them"
    ),
    PullFailure.CERTIFICATE: (
        "{node} does not trust the certificate of {host}. Give the node its CA, or mend the certificate"
    ),
    PullFailure.REFUSED: "nothing accepts connections of {node} at {host}. Is the registry up, and is the port right?",
    PullFailure.UNREACHABLE: "{node} has no route to {host}. Mend its network",
    PullFailure.CUT: "the connection of {node} to {host} broke. The kubelet tries again by itself",
    PullFailure.PLATFORM: "it was not built for the platform of {node}. Build it for that, or choose other nodes",
    PullFailure.FORMAT: (
        "{host} holds something that is no image for the container runtime of {node}. Build and push it again"
    ),
    PullFailure.DAMAGED: "what {node} got from {host} is not what the image's manifest names. Push the image again",
    PullFailure.RULE: (
        "{host} refuses it by a rule of its own, such as a firewall or a policy. Ask those who run the registry"
    ),
    PullFailure.SERVER: "{host}, or something in front of it, fails. The kubelet tries again by itself",
    PullFailure.NOT_FOUND: "{host} says that it has no such image. Correct its name or tag, or push it",
    PullFailure.RUNTIME: "the container runtime of {node} fails. Look at its log on the node",
}

_OF_NODE = frozenset((PullFailure.DISK, PullFailure.RUNTIME, PullFailure.PLATFORM, PullFailure.PROXY, PullFailure.PACE))


def why(said: KubeletMessage, image: ImageReference | None, node: str) -> str:
    host = said.host or (image.domain if image else "") or "the registry"
    return _WHY[said.kind].format(node=f"node {node}" if node else "the node", host=host, full=_full(image))


def of_node(kind: PullFailure) -> bool:
    """Whether the node's own description may show more."""
    return kind in _OF_NODE


def _full(image: ImageReference | None) -> str:
    if image is None:
        return "it in full"
    tag, digest = f":{image.tag}" if image.tag else "", f"@{image.digest}" if image.digest else ""
    return f"{image.name}{tag}{digest}"
