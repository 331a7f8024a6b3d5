"""Registry patterns of mappings: HOST[:PORT][/PATH]. Pure: no I/O.

The host matches as in the kubelet: label by label, with `*`, `?` and `[...]` inside one label, ports equal as text,
case-sensitive. The path differs from the kubelet's on purpose: it matches itself and everything below it, so
`quay.io/acme` does not match `quay.io/acmecorp/app`.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from sutler.errors import SutlerError
from sutler.registry.glob import Glob, GlobError, is_glob
from sutler.registry.image import DOCKER_HUB, DOCKER_INDEX, LONGEST_PATH, ImageReference, is_path
from sutler.text import quoted

_HIGHEST_PORT = 65535
_address = re.compile(r"\[[0-9a-fA-F:]+\]").fullmatch
_label = re.compile(r"[A-Za-z0-9_*?\[\]^-]+").fullmatch
_port = re.compile(r"[0-9]{1,5}").fullmatch


class PatternError(SutlerError):
    """The pattern matches no image, or not what was meant; the text says what to write instead."""


class Host(NamedTuple):
    """The host of an image or a pattern, as it is compared."""

    labels: tuple[str, ...]
    port: str


@dataclass(frozen=True, slots=True)
class Pattern:
    text: str
    """The pattern without a trailing slash."""
    host: Host
    path: str
    """Without a slash at either end; empty for every path."""
    globs: tuple[Glob, ...]
    """One glob for each label of the host."""

    def matches(self, image: ImageReference) -> bool:
        host, path = split_name(image)
        return (
            self.host.port == host.port
            and len(self.globs) == len(host.labels)
            and (not self.path or path == self.path or path.startswith(f"{self.path}/"))
            and all(glob.matches(label.encode()) for glob, label in zip(self.globs, host.labels, strict=True))
        )

    @property
    def vagueness(self) -> tuple[int, int, int]:
        """A sort key that puts the most specific pattern first: longest path, fewest globs, most letters."""
        globs = sum(is_glob(label) for label in self.host.labels)
        return -len(self.path), globs, -sum(map(len, self.host.labels))


def split_name(image: ImageReference) -> tuple[Host, str]:
    """The image's host as the kubelet sees it, and its path."""
    domain, path = image.domain, image.path
    if not domain:
        domain, _, path = path.partition("/")
    return split_domain(domain), path


def split_domain(domain: str) -> Host:
    if domain.startswith("["):
        address, _, port = domain.rpartition("]")
        # Without a port the kubelet takes the brackets as a glob, which matches no address. So does this.
        return Host((address[1:],), port[1:]) if port else Host((f"{address}]",), "")
    name, colon, port = domain.rpartition(":")
    return Host(tuple(name.split(".")), port) if colon else Host(tuple(domain.split(".")), "")


def parse_pattern(text: str) -> Pattern:
    """Parse a pattern. Raises PatternError."""
    if not text or text != text.strip() or any(character.isspace() for character in text):
        raise _error(text, "it is empty or contains white space, expected HOST[:PORT][/PATH] such as quay.io/acme")
    if "://" in text:
        raise _error(text, f"remove the scheme: write {quoted(text.partition('://')[2].rstrip('/'))}")
    if "@" in text:
        raise _error(text, "users and digests are not allowed: write HOST[:PORT][/PATH]")
    domain, _, path = text.partition("/")
    path = path.removesuffix("/")
    host = split_domain(domain)
    _check_path(text, path)
    globs = _globs(text, domain, host)
    return Pattern(f"{domain}/{path}" if path else domain, host, path, globs)


def _globs(text: str, domain: str, host: Host) -> tuple[Glob, ...]:
    name, _, port = domain.rpartition(":")
    if _address(domain):
        raise _error(
            text, f"the kubelet never matches an IPv6 address without a port, write {domain}:443 in images and here"
        )
    if _address(name):
        _check_port(text, port)
        return (Glob(host.labels[0].encode()),)
    _check_name(text, domain, host)
    try:
        return tuple(Glob(label.encode()) for label in host.labels)
    except GlobError as error:
        raise _error(text, str(error)) from error


def _check_name(text: str, domain: str, host: Host) -> None:
    if domain.startswith("["):
        raise _error(text, "the kubelet takes a bracket at the start for an IPv6 address, write a letter or '*' first")
    if ":" in domain:
        _check_port(text, host.port)
    for label in host.labels:
        if not _label(label):
            raise _error(text, f"{quoted(label)} can't be a part of a host name (letters, digits, '-', and globs)")
    name = ".".join(host.labels)
    if name.lower() != name:
        raise _error(text, f"hosts are compared case-sensitively: write {quoted(text.lower())}")
    if name == DOCKER_INDEX and not host.port:
        hub = f"{DOCKER_HUB}{text[len(name) :]}"
        raise _error(text, f"Docker Hub's images are matched as {DOCKER_HUB}: write {quoted(hub)}")
    if "[" in name and host.port:
        raise _error(text, "the kubelet finds no port after brackets; write '*' or one entry for each host")
    if len(host.labels) == 1 and not host.port and name != "localhost":
        raise _error(text, _lonely_label(name))


def _lonely_label(name: str) -> str:
    if is_glob(name):
        return (
            "a glob matches one part between two dots, so this matches no registry; there is no pattern for every "
            "registry: write each one (*.example.com, registry:5000)"
        )
    return (
        f"without a dot or a port {name} is not a host but an organisation of Docker Hub: "
        f"write {name}:5000 or {DOCKER_HUB}/{name}"
    )


def _check_port(text: str, port: str) -> None:
    if not _port(port) or not 0 < int(port) <= _HIGHEST_PORT:
        why = f"the port {quoted(port)} is not a number from 1 to {_HIGHEST_PORT} (globs don't work there)"
        raise _error(text, why)


def _check_path(text: str, path: str) -> None:
    if not path or is_path(path):
        return
    if "*" in path or "?" in path or "[" in path:
        raise _error(text, "globs work in the host only; a path matches everything below it: end it before the glob")
    if ":" in path:
        raise _error(text, f"remove the tag: write {quoted(text.rpartition(':')[0])}")
    if path.lower() != path:
        raise _error(text, "paths of images are in lower case")
    if len(path) > LONGEST_PATH:
        raise _error(text, f"paths of images have at most {LONGEST_PATH} characters")
    raise _error(
        text, f"no image has the path {quoted(path)} (lower-case letters and digits, joined by '.', '_' or '-')"
    )


def _error(text: str, why: str) -> PatternError:
    return PatternError(f"registry {quoted(text)}: {why}")
