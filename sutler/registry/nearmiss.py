"""Why a key or a pattern that looks as if it were for an image is not: what a person would overlook."""

from sutler.registry.glob import Glob
from sutler.registry.image import DOCKER_HUB, DOCKER_INDEX, Image, shown
from sutler.registry.keyring import IgnoredKeyError, Key, Keyring, parse_key
from sutler.registry.pattern import Pattern, split_domain, split_name

_HUB_NAMES = frozenset((DOCKER_INDEX, "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com"))
_HTTPS = "443"


def key_near_miss(text: str, image: Image) -> str | None:
    """Why the kubelet does not try the key of a docker config for the image, and what to write.

    None if it does try it, or if the two have nothing to do with each other.
    """
    if Keyring([text]).lookup(image.name):
        return None
    try:
        key = parse_key(text)
    except IgnoredKeyError as error:
        return str(error) if split_name(image)[0].labels[-1] in text else None
    normal = key.normal.decode(errors="replace")
    domain, _, path = normal.partition("/")
    if image.domain == DOCKER_HUB and domain in _HUB_NAMES:
        return _hub(key, domain, path)
    host, wanted = split_domain(domain), split_name(image)[0]
    if "*" in path or "?" in path:
        fits = wanted.labels == host.labels
        return f"key {shown(text)}: globs work in the host only; end the path before the glob" if fits else None
    reason = _host(host.labels, host.port, wanted.labels, wanted.port)
    if reason is not None:
        return f"key {shown(text)}: {reason}" if reason else None
    return f"key {shown(text)}: {_path(path, image.path)}"


def pattern_near_miss(pattern: Pattern, image: Image) -> str | None:
    """The same for a registry of a mapping."""
    if pattern.matches(image):
        return None
    wanted, path = split_name(image)
    reason = _host(pattern.host.labels, pattern.host.port, wanted.labels, wanted.port)
    if reason is None:
        reason = f"it is for {pattern.path} and what is below it, the image is {path}"
    return f"registry {shown(pattern.text)}: {reason}" if reason else None


def _hub(key: Key, domain: str, path: str) -> str:
    if domain == DOCKER_INDEX and path:
        if path in {"v1", "v2"}:
            return f"key {shown(key.text)}: the slash at its end is missing, write https://{DOCKER_INDEX}/{path}/"
        return f"key {shown(key.text)}: {DOCKER_INDEX} works without a path only, write {DOCKER_HUB}/{path}"
    return f"key {shown(key.text)}: Docker Hub's images are matched as {DOCKER_HUB}, write that"


def _host(key: tuple[str, ...], key_port: str, image: tuple[str, ...], image_port: str) -> str | None:
    """Why the hosts don't match; "" if they have nothing in common, None if they match."""
    host = ".".join(image)
    if not _alike(key, image):
        if _alike(tuple(map(str.lower, key)), tuple(map(str.lower, image))):
            # A mapping's hosts are in lower case, a key's may be in either.
            return f"case counts in hosts, {'.'.join(key)} is not {host}: write both in lower case"
        if any("*" in label for label in key) and key[-2:] == image[-2:]:
            return f"a * covers one part of a host, this is for {len(key)} parts, {host} has {len(image)}"
        return ""
    if key_port == image_port:
        return None
    if _HTTPS in {key_port, image_port} and "" in {key_port, image_port}:
        return f"ports are compared as written: the image has {image_port or 'none'}, this {key_port or 'none'}"
    return f"it is for port {key_port or 'none'}, the image has {image_port or 'none'}"


def _alike(key: tuple[str, ...], image: tuple[str, ...]) -> bool:
    try:
        globs = [Glob(label.encode()) for label in key]
    except ValueError:
        return False
    return len(key) == len(image) and all(
        glob.matches(label.encode()) for glob, label in zip(globs, image, strict=True)
    )


def _path(key: str, image: str) -> str:
    if key.startswith(("v1", "v2")) and key[2:] == "":
        return f"the slash at its end is missing: write /{key}/, which the kubelet takes off, or nothing"
    if key == f"{image}/":
        return f"with the slash at its end it is for what is below {image} only, leave that out"
    if key.partition(":")[0] == image:
        return "tags and digests don't count, leave them out"
    return f"it is for images that start with {key}, this is {image}"
