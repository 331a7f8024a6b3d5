"""Image references, parsed and normalised as by the kubelet (distribution/reference, ParseNormalizedNamed).

    reference  = name [":" tag] ["@" digest]
    name       = [domain "/"] path
    domain     = (host name | "[" IPv6 "]") [":" port]
    path       = component *("/" component)
    component  = lower-case letters and digits, joined by "." or "_" or "__" or dashes

Missing parts get their defaults: the domain is `docker.io`, and a single component there is under `library/`.
Pure: no I/O.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from sutler.errors import SutlerError
from sutler.text import quoted

DOCKER_HUB = "docker.io"
DOCKER_INDEX = "index.docker.io"  # the old name of Docker Hub: the same registry, and the key of its credentials
HUB_NAMES = frozenset(
    (
        DOCKER_INDEX,
        "registry-1.docker.io",
        "registry.docker.io",
        "registry.hub.docker.com",
        "hub.docker.com",
        "hub.docker.io",
        "index.docker.com",
        "registry.docker.com",
        "registry-1.docker.com",
        "cloud.docker.com",
        "docker.com",
        "www.docker.com",
        "www.docker.io",
    )
)
"""Names that users write for Docker Hub. Images are matched as DOCKER_HUB only."""
LONGEST_PATH = 255
_IDENTIFIER = 64
_LONGEST_REMEMBERED = 255

_HOST = r"[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*"
_DOMAIN = rf"(?:{_HOST}(?:\.{_HOST})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:__|[._]|-+)[a-z0-9]+)*"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"

_remote = re.compile(rf"({_PATH})(?::({_TAG}))?(?:@({_DIGEST}))?").fullmatch
_domain = re.compile(_DOMAIN).fullmatch
_identifier = re.compile(r"[a-f0-9]{64}").fullmatch
_digest = re.compile(r"sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}").fullmatch
_path = re.compile(_PATH).fullmatch
_tag = re.compile(_TAG).fullmatch


class ImageError(SutlerError):
    """The kubelet refuses to pull this image; the text names it and the rule that it breaks."""


class ImageReference(NamedTuple):
    """A normalised reference. `domain` is empty in one odd case: `my_host.lan/app`, which is all path."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """The part that credentials are matched with: no tag, no digest."""
        return f"{self.domain}/{self.path}" if self.domain else self.path


def parse_image(text: str) -> ImageReference:
    """Parse a reference. Raises ImageError for a name that the kubelet calls invalid."""
    domain, remote = _split(text)
    if _is_domain(domain) if len(domain) <= _LONGEST_REMEMBERED else _domain(domain):
        match = _remote(remote)
    else:
        domain, match = "", _remote(f"{domain}/{remote}")
    if match is None or (len(text) == _IDENTIFIER and _identifier(text)):
        raise ImageError(f"image {quoted(text)} is no image reference: {_broken_rule(text, remote)}")
    path, tag, digest = match.groups("")
    if len(path) > LONGEST_PATH:
        raise ImageError(
            f"image {quoted(text)} has a repository path of {len(path)} characters, at most {LONGEST_PATH} are allowed"
        )
    if digest and not _digest(digest):
        raise ImageError(
            f"image {quoted(text)} has the digest {quoted(digest)}, which is none of "
            "sha256 (64 hexadecimal digits in lower case), sha384 (96) and sha512 (128)"
        )
    return ImageReference(domain, path, tag, digest)


def name_of(text: str) -> str | None:
    """A reference without its tag and digest; None if one of these is not valid.

    If the name is valid, so is the reference, with the same domain and path. Many images share few names.
    """
    name, at, digest = text.partition("@")
    if at and not _digest(digest):
        return None
    colon = name.find(":", name.rfind("/") + 1)
    if colon < 0:
        return name
    return name[:colon] if _tag(name, colon + 1) else None


def is_path(text: str) -> bool:
    """Whether an image can have this repository path."""
    return len(text) <= LONGEST_PATH and _path(text) is not None


@lru_cache(maxsize=4096)  # images are many, registries few
def _is_domain(text: str) -> bool:
    return _domain(text) is not None


def _split(text: str) -> tuple[str, str]:
    """The domain, given or implied, and the rest."""
    first, slash, rest = text.partition("/")
    if not slash:
        return DOCKER_HUB, f"library/{text}"
    if first == DOCKER_INDEX:
        first = DOCKER_HUB
    elif not ("." in first or ":" in first or first == "localhost" or first.lower() != first):
        return DOCKER_HUB, text
    if first == DOCKER_HUB and "/" not in rest:
        rest = f"library/{rest}"
    return first, rest


def _broken_rule(text: str, remote: str) -> str:
    path = remote.partition("@")[0].partition(":")[0]
    rules = {
        "it is empty": not text,
        "it contains white space": any(character.isspace() for character in text),
        "remove the scheme: an image starts with its registry's host": "://" in text,
        "64 hexadecimal digits are an image's ID, not its name": _identifier(text),
        "the repository's path must be in lower case": path.lower() != path,
        "there is an empty part between slashes": f"/{path}/".count("//") or text.startswith("/"),
    }
    return next((rule for rule, broken in rules.items() if broken), "expected [HOST[:PORT]/]PATH[:TAG][@DIGEST]")
