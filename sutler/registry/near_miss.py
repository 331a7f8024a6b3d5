"""Common mistakes in registries and keys, and their repairs. They explain near misses only. Pure: no I/O."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sutler.registry.image import DOCKER_HUB, DOCKER_INDEX, HUB_NAMES

_LIBRARY = "library/"
_written = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(\[[^\]]*\]|[^/:]*)(?::([^/]*))?(/.*)?", re.DOTALL).fullmatch
_tag = re.compile(r"(?<=[^/])[:@].*").search
_glob = re.compile(r"/[^/]*[*?\[].*").search


class RegistryParts(NamedTuple):
    scheme: str
    host: str
    port: str
    path: str
    """The path with its leading slash, or empty."""

    def __str__(self) -> str:
        scheme = self.scheme or ("https" if self.host == DOCKER_INDEX else "")
        return f"{f'{scheme}://' if scheme else ''}{self.host}{f':{self.port}' if self.port else ''}{self.path}"


Change = tuple[RegistryParts, str] | None
Repair = Callable[[RegistryParts, RegistryParts], Change]
"""From the written parts and the image's parts to corrected parts and the mistake; None without this mistake."""


def split(text: str) -> RegistryParts:
    found = _written(text)
    scheme, host, port, path = found.groups("") if found else ("", text, "", "")
    return RegistryParts(scheme, host, port, path)


def repaired(
    parts: RegistryParts, target: RegistryParts, repairs: "Sequence[Repair]"
) -> tuple[RegistryParts, list[str]]:
    reasons = []
    for repair in repairs:
        change = repair(parts, target)
        if change:
            parts, why = change
            reasons.append(why)
    return parts, reasons


def _scheme(parts: RegistryParts, target: RegistryParts) -> Change:
    del target
    if not parts.scheme:
        return None
    return parts._replace(scheme=""), f"remove {parts.scheme}://"


def _host_case(parts: RegistryParts, target: RegistryParts) -> Change:
    del target
    if parts.host == parts.host.lower():
        return None
    return parts._replace(host=parts.host.lower()), "hosts are compared case-sensitively, and images have lower case"


def _hub(parts: RegistryParts, target: RegistryParts) -> Change:
    if target.host != DOCKER_HUB or parts.host not in HUB_NAMES:
        return None
    why = f"Docker Hub's images are matched as {DOCKER_HUB}, not as {parts.host}"
    return parts._replace(host=DOCKER_HUB, port=""), why


def _port(parts: RegistryParts, target: RegistryParts) -> Change:
    if parts.port == target.port:
        return None
    if {parts.port, target.port} == {"", "443"}:
        why = "no port and :443 are not the same to the kubelet"
    elif not target.port:
        why = f"the image has no port, and this has port {parts.port}"
    else:
        why = f"the image has port {target.port}, and this has " + (f"port {parts.port}" if parts.port else "none")
    return parts._replace(port=target.port), why


def _depth(parts: RegistryParts, target: RegistryParts) -> Change:
    """`*.example.com` is one label deep."""
    globs = parts.host.split(".")
    fixed = [label for label in globs if label != "*"]
    labels = target.host.split(".")
    if len(globs) == len(fixed) or len(globs) == len(labels) or len(fixed) > len(labels):
        return None
    host = ".".join(["*"] * (len(labels) - len(fixed)) + fixed)
    return parts._replace(host=host), "a * matches exactly one part of the host between dots"


def _path_case(parts: RegistryParts, target: RegistryParts) -> Change:
    del target
    if parts.path == parts.path.lower():
        return None
    return parts._replace(path=parts.path.lower()), "paths are compared case-sensitively, and images have lower case"


def _path_glob(parts: RegistryParts, target: RegistryParts) -> Change:
    del target
    if not _glob(parts.path):
        return None
    why = "globs work in the host only; a path covers everything below it anyway"
    return parts._replace(path=re.sub(r"/[^/]*[*?\[].*", "", parts.path, count=1, flags=re.DOTALL)), why


def _tagged(parts: RegistryParts, target: RegistryParts) -> Change:
    del target
    found = _tag(parts.path)
    if not found:
        return None
    return parts._replace(path=parts.path[: found.start()]), "remove the tag or digest"


def _slash(parts: RegistryParts, target: RegistryParts) -> Change:
    del target
    if not parts.path.rstrip("/") or not parts.path.endswith("/"):
        return None
    return parts._replace(path=parts.path.rstrip("/")), "with the slash at its end it matches only paths below it"


def _version(parts: RegistryParts, target: RegistryParts) -> Change:
    del target
    if parts.path not in {"/v1", "/v2"}:
        return None
    return parts._replace(path=f"{parts.path}/"), f"the kubelet ignores {parts.path}/ only with a slash at its end"


def _library(parts: RegistryParts, target: RegistryParts) -> Change:
    path = target.path.removeprefix("/")
    if target.host != DOCKER_HUB or not path.startswith(_LIBRARY) or parts.path != path.removeprefix("library"):
        return None
    return parts._replace(path=f"/{path}"), f"official images are under {DOCKER_HUB}/library"


REPAIRS: tuple[Repair, ...] = (
    _scheme,
    _host_case,
    _hub,
    _port,
    _depth,
    _path_case,
    _path_glob,
    _tagged,
    _slash,
    _version,
    _library,
)
