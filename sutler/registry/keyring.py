"""The credentials that the kubelet tries for an image, in its order. Pure: no I/O.

A docker config maps keys to credentials. A key is a registry as people wrote it over the years: `quay.io/acme`,
`https://index.docker.io/v1/`, `*.example.com:5000`. The kubelet brings each into the form host + path, sorts these in
reverse byte order and tries every one that matches.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from sutler.errors import SutlerError
from sutler.registry.glob import Glob, GlobError
from sutler.registry.image import DOCKER_HUB, DOCKER_INDEX, ImageError, parse_image
from sutler.registry.key_url import KeyUrl, NotAUrlError, locate
from sutler.text import quoted

_SCHEMES = (b"https://", b"http://")
_API_VERSIONS = (b"/v1/", b"/v2/")
_FALLBACK = DOCKER_INDEX.encode()
_MOST_DOTS = 126  # in a name of DNS, which has at most 253 characters
_digest = re.compile(r"[a-z0-9+._-]+:[0-9a-f]+").fullmatch
_located = re.compile(r"((?:[^/?#]*:)?//)?([^/?#]*)(.*)", re.DOTALL).fullmatch


class IgnoredKeyError(SutlerError):
    """The kubelet ignores this key, because it is no URL; `why` is the reason."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(f"key {quoted(without_user(text))} is no registry: {why}; the kubelet ignores it")
        self.why = why


class Key(NamedTuple):
    """One key, and what it matches."""

    text: str
    normal: bytes  # host + path: what the kubelet sorts by
    labels: (
        tuple[Glob, ...] | None
    )  # of the host; None: it never matches by itself (malformed, or longer than any host)
    port: bytes
    path: bytes

    def matches(self, labels: list[bytes], port: bytes, path: bytes) -> bool:
        return (
            self.labels is not None
            and self.port == port
            and len(self.labels) == len(labels)
            and path.startswith(self.path)
            and all(glob.matches(label) for glob, label in zip(self.labels, labels, strict=True))
        )

    @property
    def is_fallback(self) -> bool:
        """Whether the kubelet tries it for Docker Hub's images if nothing else matches."""
        return self.normal == _FALLBACK


def parse_key(text: str) -> Key:
    """Parse a key. Raises IgnoredKeyError if the kubelet ignores it."""
    try:
        found = locate(_without_scheme(encode(text)))
    except NotAUrlError as error:
        raise IgnoredKeyError(text, str(error)) from error
    path = found.path[3:] if found.path.startswith(_API_VERSIONS) else found.path
    normal = found.host if path == b"/" else found.host + path
    try:
        # The kubelet parses the normal form once more at every look-up; what escapes decoded to counts again there.
        found = locate(normal)
        host, port = found.split_host()
        if host.count(b".") > _MOST_DOTS:  # no image's host has as many labels, and each costs time here
            return Key(text, normal, None, b"", b"")
        labels = tuple(Glob(label) for label in host.split(b"."))
    except (NotAUrlError, GlobError):
        return Key(text, normal, None, b"", b"")
    return Key(text, normal, labels, port, found.path)


def without_user(text: str) -> str:
    """A key without `user:password@` before the host, which the kubelet ignores and which must not be shown."""
    found = _located(text)
    scheme, host, rest = found.groups("") if found else ("", "", text)
    before, at, after = rest.rpartition("@")
    if at and ":" in host + before and not _digest(after):
        return f"{scheme}{after}"  # a slash in the password ends the host for every URL parser
    return f"{scheme}{host.rpartition('@')[2]}{rest}"


class Keyring:
    """The keys of one or more docker configs."""

    def __init__(self, keys: Iterable[str]) -> None:
        parsed = []
        for text in dict.fromkeys(keys):
            try:
                parsed.append(parse_key(text))
            except IgnoredKeyError:
                continue  # the kubelet logs it and takes the others
        # Of keys with one normal form the kubelet takes any order; here it is always the same.
        self._keys = sorted(parsed, key=lambda key: (key.normal, encode(key.text)), reverse=True)

    def lookup(self, image: str) -> list[str]:
        """The keys whose credentials the kubelet tries, in its order; without any it pulls anonymously.

        An image that does not parse never gets that far in a kubelet (see parse_image); it is matched as it stands.
        """
        try:
            name = encode(parse_image(image).name)
        except ImageError:
            name = encode(image)
        found = [key.text for key in self._matching(name)]
        if not found and _is_default_registry(name):
            found = [key.text for key in self._keys if key.is_fallback]
        return found

    def _matching(self, name: bytes) -> list[Key]:
        try:
            target: KeyUrl = locate(name)
        except NotAUrlError:
            return []
        host, port = target.split_host()
        labels = host.split(b".")
        return [key for key in self._keys if key.matches(labels, port, target.path)]


def encode(text: str) -> bytes:
    """Encode as UTF-8, with lone surrogates as by Go's JSON decoder."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _without_scheme(text: bytes) -> bytes:
    for scheme in _SCHEMES:
        if text.startswith(scheme):
            return text[len(scheme) :]
    return text


def _is_default_registry(name: bytes) -> bool:
    """Whether it is Docker Hub, or its first part is no host for the kubelet: no dot, no port, so also localhost."""
    first, slash, _ = name.partition(b"/")
    if not first:
        return False
    return not slash or first in {DOCKER_HUB.encode(), _FALLBACK} or not (b"." in first or b":" in first)
