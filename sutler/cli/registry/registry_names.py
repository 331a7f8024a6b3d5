"""Names of registries: as users and docker configs write them, as mappings need them, and names of mappings.

Pure: no I/O.
"""

import hashlib
import ipaddress
import re
import unicodedata
from typing import NamedTuple

from sutler.registry.auth_entry import bookkeeping
from sutler.registry.glob import is_glob
from sutler.registry.image import DOCKER_HUB, HUB_NAMES, ImageError, parse_image
from sutler.registry.keyring import IgnoredKeyError, parse_key, without_user
from sutler.registry.pattern import PatternError, parse_pattern
from sutler.text import quoted

_MAX_NAME = 63  # characters, because it becomes the value of a label
_DIGEST = 8  # characters
_MAX_KEY = 2000  # characters: a host has at most 253, a path 255, and the text around them may be escaped
_scheme = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//").match
_host = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(.*))?", re.DOTALL).fullmatch
_label = re.compile(r"[a-z0-9]+(?:-+[a-z0-9]+)*").fullmatch
_hub_page = re.compile(
    r"(?:(?:r|u|orgs|layers|namespaces|repository/docker|repositories/docker|repositories)/)(.+)"
).fullmatch
_SITE_PAGES = frozenset(("users", "search", "explore", "signup", "login", "settings", "billing", "usage", "extensions"))
_quay_page = re.compile(r"(?:repository|organization|user)/(.+)").fullmatch
_any_page = re.compile(r"(?:artifactory|ui|harbor/projects|repository)/.+|.*/container_registry(?:/.*)?").fullmatch
_NOT_REGISTRIES = {
    "auth.docker.io": f"it is Docker Hub's token service, not a registry; write {DOCKER_HUB}",
    "login.docker.com": f"it is Docker's login page, not a registry; write {DOCKER_HUB}",
    "app.docker.com": f"it is a web site of Docker, not a registry; write {DOCKER_HUB}",
    "github.com": "images of GitHub are at another host; write ghcr.io",
    "api.github.com": "images of GitHub are at another host; write ghcr.io",
    "gitlab.com": "images of GitLab are at another host; write registry.gitlab.com",
    "catalog.redhat.com": "images of Red Hat are at another host; write registry.redhat.io",
    "console.redhat.com": "images of Red Hat are at another host; write registry.redhat.io",
    "cloud.openshift.com": "it is OpenShift's telemetry service, not a registry",
}


class RegistryServer(NamedTuple):
    """A registry as mappings have it."""

    text: str
    """HOST[:PORT][/PATH]."""
    note: str
    """What was changed so that images match it; mostly empty."""


class UnusableServerError(ValueError):
    """No image can match the registry; the text says why."""


def parse_server(key: str) -> RegistryServer:
    """Parses a key of a docker config or an argument. Raises UnusableServerError."""
    notes: list[str] = []
    text = _strip(key, notes)
    if own := bookkeeping(text):
        raise UnusableServerError(own)
    try:
        normal = parse_key(text).normal.decode()
    except (IgnoredKeyError, UnicodeDecodeError) as error:
        raise UnusableServerError(str(error)) from error
    written, slash, path = normal.rstrip("/").partition("/")
    host = _normalize_host(written, notes)
    if host in _NOT_REGISTRIES:
        raise UnusableServerError(_NOT_REGISTRIES[host])
    if path != path.lower():
        notes.append(f"{path} is now {path.lower()}: paths of images have no upper case")
        path = path.lower()
    if path in {"v1", "v2"}:
        notes.append(f"/{path} was removed: it is the version of the registry's API, not a path of images")
        path = ""
    if host.removesuffix(":443") in HUB_NAMES | {DOCKER_HUB}:
        path = _hub_path(host, path)
        if not (parse_key(text).is_fallback or host == DOCKER_HUB):
            notes.append(f"{written} is now {DOCKER_HUB}, the name that Docker Hub's images match")
        host = DOCKER_HUB
    else:
        path = _normalize_path(host, path, notes)
    text = _require_matchable(f"{host}{slash}{path}" if path else host)
    if host.endswith(":443"):
        notes.append("only images that are written with :443 match it, because the kubelet does not assume a port")
    return RegistryServer(text, "; ".join(notes))


def default_name(server: str) -> str:
    """The default name of a mapping and its pull secret."""
    name = re.sub(r"[^a-z0-9]+", "-", server.lower()).strip("-")
    return name if 0 < len(name) <= _MAX_NAME else distinct_name(server)


def distinct_name(server: str) -> str:
    """A name with a digest, for a registry whose default name is taken by one such as quay.io/acme-app."""
    name = re.sub(r"[^a-z0-9]+", "-", server.lower()).strip("-")
    digest = hashlib.sha256(server.encode()).hexdigest()[:_DIGEST]
    return f"{name[: _MAX_NAME - _DIGEST - 1].strip('-') or 'registry'}-{digest}"


def _strip(key: str, notes: list[str]) -> str:
    """The host and path of a key, without schemes, user, query and fragment."""
    if len(key) > _MAX_KEY:
        raise UnusableServerError("it is longer than any registry with a path")
    text = key.strip()
    while scheme := _scheme(text):
        if scheme[0].lower() not in {"https://", "http://"}:
            notes.append(f"{scheme[0]} was removed")
        text = text[scheme.end() :]
    bare = without_user(text)
    if bare != text:
        notes.append("the text before @ was removed: the kubelet does not use user names and passwords in keys")
    found = re.search(r"[?#]", bare)
    if found:
        notes.append(f"the text after {found[0]} was removed")
    return bare[: found.start()] if found else bare


def _normalize_host(written: str, notes: list[str]) -> str:
    """The host as images have it: lower case, ASCII, without a trailing dot."""
    found = _host(written)
    name, port = found.groups("") if found else (written, "")
    try:
        bare = ipaddress.ip_address(written).version == 6  # noqa: PLR2004 - IPv6
    except ValueError:
        bare = False
    if bare:
        raise UnusableServerError(f"an IPv6 address needs brackets and a port; write [{written}]:443")
    plain = _ascii(name.lower()).removesuffix(".")
    if plain != name:
        notes.append(f"{name} is now {plain}, as images have it: the kubelet compares hosts literally")
    return f"{plain}:{port}" if port else plain


def _ascii(name: str) -> str:
    """A host name in ASCII, as in DNS. Raises UnusableServerError."""
    if name.isascii():
        return name
    try:
        encoded = name.encode("idna")
        same = encoded.decode("idna") == unicodedata.normalize("NFC", name)
    except UnicodeError:
        same = False
    if not same:  # versions of IDNA encode some letters differently, which makes two hosts
        raise UnusableServerError(f"hosts of images are in ASCII only; write {quoted(name)} as in DNS (xn--…)")
    return encoded.decode()


def _hub_path(host: str, path: str) -> str:
    """The path of images, also from URLs of pages: hub.docker.com/r/acme/app, hub.docker.com/_/nginx."""
    if host == DOCKER_HUB:
        return path
    found = _hub_page(path)
    if found:
        path = re.sub(r"/(?:tags|general|repositories|members)$", "", found[1])
    elif path.partition("/")[0] in _SITE_PAGES:
        raise UnusableServerError(f"it is a page of Docker Hub's site, not a registry; write {DOCKER_HUB}")
    return re.sub(r"^_/", "library/", path)


def _normalize_path(host: str, path: str, notes: list[str]) -> str:
    """The path of images, also from URLs of pages that show them."""
    found = _quay_page(path) if host == "quay.io" else None
    if found:
        notes.append(f"{path.partition('/')[0]}/ was removed: it is the address of a page, not the path of an image")
        return found[1]
    if _any_page(path):
        notes.append("it looks like the address of a page: only images with this whole path match it")
    return path


def _require_matchable(text: str) -> str:
    """The text as a pattern. Raises UnusableServerError if no image can match it."""
    try:
        pattern = parse_pattern(text)
    except PatternError as error:
        raise UnusableServerError(str(error)) from error
    domain = text.partition("/")[0]
    if any(map(is_glob, pattern.host.labels)):
        wrong = next((label for label in pattern.host.labels if not is_glob(label) and not _label(label)), None)
    else:
        try:
            wrong = None if parse_pattern(domain).matches(parse_image(f"{domain}/a/b")) else domain
        except ImageError:
            wrong = domain
    if wrong is None:
        return pattern.text
    raise UnusableServerError(f"no image can have the host {quoted(domain)}: {_broken_rule(pattern.host.labels)}")


def _broken_rule(labels: tuple[str, ...]) -> str:
    if any("_" in label for label in labels):
        return "a host has no underscores; give the registry a name without them"
    if any(label.startswith("-") or label.endswith("-") for label in labels):
        return "no part of it may begin or end with '-'"
    return "its parts are letters and digits, joined by '-'"
