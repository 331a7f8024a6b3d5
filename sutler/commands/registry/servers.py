"""What registries are called: in the commands, in docker configs, and as names of mappings. Pure."""

import hashlib
import re
from typing import NamedTuple

from sutler.registry import PatternError, parse_pattern
from sutler.registry.image import DOCKER_HUB, DOCKER_INDEX
from sutler.registry.keyring import IgnoredKeyError, parse_key

_LONGEST = 63  # it becomes the value of a label
_HASHED = 8


class Server(NamedTuple):
    text: str
    """HOST[:PORT][/PATH], as in a mapping."""
    note: str
    """What had to be changed for the kubelet to use it."""


class UnusableServerError(ValueError):
    """No mapping can be for it; the text says why."""


def server_of_key(key: str) -> Server:
    """From a key of a docker config. Raises UnusableServerError."""
    try:
        normal = parse_key(key.strip()).normal.decode()
    except (IgnoredKeyError, UnicodeDecodeError) as error:
        raise UnusableServerError(str(error)) from error
    host, slash, path = normal.rstrip("/").partition("/")
    note = ""
    if host != host.lower():
        note = f"{host} is now {host.lower()}: as it was written the kubelet would not have used it"
    host = host.lower()
    if host == DOCKER_INDEX:
        host = DOCKER_HUB
        note = f"{DOCKER_INDEX}/{path} is now {DOCKER_HUB}/{path}: only so does the kubelet use it" if path else note
    text = f"{host}{slash}{path}" if path else host
    try:
        return Server(parse_pattern(text).text, note)
    except PatternError as error:
        raise UnusableServerError(str(error)) from error


def default_name(server: str) -> str:
    """A mapping's name, and that of the Secret that Pods get."""
    name = re.sub(r"[^a-z0-9]+", "-", server.lower()).strip("-")
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(server.encode()).hexdigest()[:_HASHED]
    return f"{name[: _LONGEST - _HASHED - 1].rstrip('-')}-{digest}"
