"""What registries are called: in the commands, in docker configs, and as names of mappings. Pure."""

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

_LONGEST = 63  # it becomes the value of a label
_HASHED = 8
_LONGEST_KEY = 2000  # a host has at most 253 characters, a path 255, and what stands around them may be escaped
_scheme = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//").match
_host = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(.*))?", re.DOTALL).fullmatch
_label = re.compile(r"[a-z0-9]+(?:-+[a-z0-9]+)*").fullmatch
_on_the_site = re.compile(
    r"(?:(?:r|u|orgs|layers|namespaces|repository/docker|repositories/docker|repositories)/)(.+)"
).fullmatch
_SITE_PAGES = frozenset(("users", "search", "explore", "signup", "login", "settings", "billing", "usage", "extensions"))
_on_quay = re.compile(r"(?:repository|organization|user)/(.+)").fullmatch
_of_a_page = re.compile(r"(?:artifactory|ui|harbor/projects|repository)/.+|.*/container_registry(?:/.*)?").fullmatch
_NOT_REGISTRIES = {
    "auth.docker.io": f"it gives tokens for Docker Hub and is no registry: write {DOCKER_HUB}",
    "login.docker.com": f"it is where one logs in to Docker and no registry: write {DOCKER_HUB}",
    "app.docker.com": f"it is a site of Docker and no registry: write {DOCKER_HUB}",
    "github.com": "images of GitHub are at another host: write ghcr.io",
    "api.github.com": "images of GitHub are at another host: write ghcr.io",
    "gitlab.com": "images of GitLab are at another host: write registry.gitlab.com",
    "catalog.redhat.com": "Red Hat's images are at another host: write registry.redhat.io",
    "console.redhat.com": "Red Hat's images are at another host: write registry.redhat.io",
    "cloud.openshift.com": "it is where OpenShift reports to, not a registry",
}


class RegistryServer(NamedTuple):
    text: str
    """HOST[:PORT][/PATH], as in a mapping."""
    note: str
    """What had to be changed so that images match it; mostly empty."""


class UnusableServerError(ValueError):
    """No mapping can be for it; the text says why."""


def server_of_key(key: str) -> RegistryServer:
    """From a key of a docker config, or from the command line. Raises UnusableServerError."""
    notes: list[str] = []
    text = _bare(key, notes)
    if own := bookkeeping(text):
        raise UnusableServerError(own)
    try:
        normal = parse_key(text).normal.decode()
    except (IgnoredKeyError, UnicodeDecodeError) as error:
        raise UnusableServerError(str(error)) from error
    written, slash, path = normal.rstrip("/").partition("/")
    host = _plain_host(written, notes)
    if host in _NOT_REGISTRIES:
        raise UnusableServerError(_NOT_REGISTRIES[host])
    if path != path.lower():
        notes.append(f"{path} is now {path.lower()}: images have no upper case in their paths")
        path = path.lower()
    if path in {"v1", "v2"}:
        notes.append(f"/{path} was left out: it is the version of the registry's API, not a path of images")
        path = ""
    if host.removesuffix(":443") in HUB_NAMES | {DOCKER_HUB}:
        path = _hub_path(host, path)
        if not (parse_key(text).is_fallback or host == DOCKER_HUB):
            notes.append(f"{written} is now {DOCKER_HUB}, as which Docker Hub's images are matched")
        host = DOCKER_HUB
    else:
        path = _plain_path(host, path, notes)
    text = _checked(f"{host}{slash}{path}" if path else host)
    if host.endswith(":443"):
        notes.append("only images that are written with :443 match it, to the kubelet no port is another one")
    return RegistryServer(text, "; ".join(notes))


def default_name(server: str) -> str:
    """A mapping's name, and that of the Secret that Pods get."""
    name = re.sub(r"[^a-z0-9]+", "-", server.lower()).strip("-")
    return name if 0 < len(name) <= _LONGEST else distinct_name(server)


def distinct_name(server: str) -> str:
    """Another, for a registry whose first name is taken: quay.io/acme/app and quay.io/acme-app have one name."""
    name = re.sub(r"[^a-z0-9]+", "-", server.lower()).strip("-")
    digest = hashlib.sha256(server.encode()).hexdigest()[:_HASHED]
    return f"{name[: _LONGEST - _HASHED - 1].strip('-') or 'registry'}-{digest}"


def _bare(key: str, notes: list[str]) -> str:
    """Without what stands around a host and its path."""
    if len(key) > _LONGEST_KEY:
        raise UnusableServerError("it is longer than any registry with a path")
    text = key.strip()
    while scheme := _scheme(text):
        if scheme[0].lower() not in {"https://", "http://"}:
            notes.append(f"{scheme[0]} was left out")
        text = text[scheme.end() :]
    bare = without_user(text)
    if bare != text:
        notes.append("what stood in front of @ was left out: the kubelet takes user name and password from elsewhere")
    found = re.search(r"[?#]", bare)
    if found:
        notes.append(f"what stood after {found[0]} was left out")
    return bare[: found.start()] if found else bare


def _plain_host(written: str, notes: list[str]) -> str:
    """As images have it: in lower case and ASCII, without a dot at its end."""
    found = _host(written)
    name, port = found.groups("") if found else (written, "")
    try:
        bare = ipaddress.ip_address(written).version == 6  # noqa: PLR2004 - IPv6
    except ValueError:
        bare = False
    if bare:
        raise UnusableServerError(f"an IPv6 address stands in brackets and with its port: write [{written}]:443")
    plain = _ascii(name.lower()).removesuffix(".")
    if plain != name:
        notes.append(f"{name} is now {plain}, as images have it: the kubelet compares hosts as they are written")
    return f"{plain}:{port}" if port else plain


def _ascii(name: str) -> str:
    """A name of DNS as it is there. Raises UnusableServerError."""
    if name.isascii():
        return name
    try:
        encoded = name.encode("idna")
        same = encoded.decode("idna") == unicodedata.normalize("NFC", name)
    except UnicodeError:
        same = False
    if not same:  # some letters have had two spellings in DNS, which are two hosts
        raise UnusableServerError(f"images have hosts in ASCII only: write {quoted(name)} as DNS has it (xn--…)")
    return encoded.decode()


def _hub_path(host: str, path: str) -> str:
    """Of addresses of the site: hub.docker.com/r/acme/app, hub.docker.com/_/nginx."""
    if host == DOCKER_HUB:
        return path
    found = _on_the_site(path)
    if found:
        path = re.sub(r"/(?:tags|general|repositories|members)$", "", found[1])
    elif path.partition("/")[0] in _SITE_PAGES:
        raise UnusableServerError(f"it is a page of Docker Hub's site, not a registry: write {DOCKER_HUB}")
    return re.sub(r"^_/", "library/", path)


def _plain_path(host: str, path: str, notes: list[str]) -> str:
    """As images have it, where it is that of a page which shows them."""
    found = _on_quay(path) if host == "quay.io" else None
    if found:
        notes.append(f"{path.partition('/')[0]}/ was left out: it is the address of a page, not the path of an image")
        return found[1]
    if _of_a_page(path):
        notes.append("it looks like the address of a page: it matches only images that are written with all of it")
    return path


def _checked(text: str) -> str:
    """Raises UnusableServerError if no image matches it."""
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
        return "an underscore can't stand there, give the registry a name without one"
    if any(label.startswith("-") or label.endswith("-") for label in labels):
        return "no part of it may begin or end with '-'"
    return "its parts are letters and digits, joined by '-'"
