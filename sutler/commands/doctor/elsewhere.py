"""What a pull failed at, and what to do, where it has nothing to do with credentials. Pure."""

from sutler.commands.doctor.said import Said
from sutler.commands.doctor.words import Kind
from sutler.registry import Image

_WHY = {
    Kind.NEVER: (
        "imagePullPolicy Never forbids the pull, and {node} lacks the image or may not use it for this Pod (kubelets "
        "since 1.35 want a credential with which it was pulled)"
    ),
    Kind.NAME: "the kubelet can't read its name. Correct it where the Pod comes from",
    Kind.SHORT_NAME: "{node} does not know which registry this short name means. Write {full} where the Pod comes from",
    Kind.SIGNATURE: "{node} does not accept its signature. Sign the image, or correct the signature policy of the node",
    Kind.PACE: "the kubelet of {node} starts no more pulls for now (its registryPullQPS). It tries again by itself",
    Kind.RATE: "{host} allows {node} no more pulls for now. The kubelet tries again by itself",
    Kind.PROXY: "the proxy of {node} does not let it through. Correct the proxy settings of its container runtime",
    Kind.DISK: "the disk of {node} is full or broken. Free space on it, or move the Pod to another node",
    Kind.DNS: "{node} does not find host {host} in DNS. Correct the host in the image's name, or the DNS of the node",
    Kind.PLAIN_HTTP: "{node} asks {host} by HTTPS and gets HTTP. Configure its container runtime for HTTP",
    Kind.TIMEOUT: "{node} gets no answer from {host} in time. Look for what delays or drops it on the way between them",
    Kind.CERTIFICATE: "{node} does not trust the certificate of {host}. Give the node its CA, or mend the certificate",
    Kind.REFUSED: "nothing accepts connections of {node} at {host}. Is the registry up, and is the port right?",
    Kind.UNREACHABLE: "{node} has no route to {host}. Mend its network",
    Kind.CUT: "the connection of {node} to {host} broke. The kubelet tries again by itself",
    Kind.PLATFORM: "it was not built for the platform of {node}. Build it for that, or choose other nodes",
    Kind.FORMAT: "{host} holds something that is no image for the container runtime of {node}. Build and push it again",
    Kind.DAMAGED: "what {node} got from {host} is not what the image's manifest names. Push the image again",
    Kind.RULE: "{host} refuses it by a rule of its own, such as a firewall or a policy. Ask those who run the registry",
    Kind.SERVER: "{host}, or something in front of it, fails. The kubelet tries again by itself",
    Kind.NOT_FOUND: "{host} says that it has no such image. Correct its name or tag, or push it",
    Kind.RUNTIME: "the container runtime of {node} fails. Look at its log on the node",
}

_OF_NODE = frozenset((Kind.DISK, Kind.RUNTIME, Kind.PLATFORM, Kind.PROXY, Kind.PACE))


def why(said: Said, image: Image | None, node: str) -> str:
    host = said.host or (image.domain if image else "") or "the registry"
    return _WHY[said.kind].format(node=f"node {node}" if node else "the node", host=host, full=_full(image))


def of_node(kind: Kind) -> bool:
    """Whether the node's own description may show more."""
    return kind in _OF_NODE


def _full(image: Image | None) -> str:
    if image is None:
        return "it in full"
    tag, digest = f":{image.tag}" if image.tag else "", f"@{image.digest}" if image.digest else ""
    return f"{image.name}{tag}{digest}"
