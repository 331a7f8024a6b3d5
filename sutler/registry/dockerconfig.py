"""The credentials inside a pull secret: read as the kubelet reads them, cut down to what is needed, byte-stable.

Nothing here ever puts a credential into a message or a repr.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from sutler.errors import SutlerError
from sutler.registry.glob import overlap
from sutler.registry.image import DOCKER_HUB, is_path, shown
from sutler.registry.keyring import IgnoredKeyError, Key, parse_key
from sutler.registry.pattern import Pattern, parse_pattern

DOCKERCONFIGJSON = "kubernetes.io/dockerconfigjson"
DOCKERCFG = "kubernetes.io/dockercfg"
DATA_KEYS = {DOCKERCONFIGJSON: ".dockerconfigjson", DOCKERCFG: ".dockercfg"}
"""Where a Secret of each type keeps its config. Other types are ignored by the kubelet."""

_ENTRY_FIELDS = frozenset(("username", "password", "email", "auth"))
_TOKENS = ("identitytoken", "registrytoken")
_HELPERS = ("credsstore", "credhelpers")


class SourceError(SutlerError):
    """A Secret that is no usable pull secret; `problems` lists all that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Entry:
    key: str
    """As written in the config."""
    username: bytes = field(repr=False)
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DockerConfig:
    type: str
    entries: tuple[Entry, ...]
    ignored: tuple[str, ...] = ()
    """What the kubelet will not use though it is there, in words."""


def parse_secret(secret_type: str, data: Mapping[str, bytes]) -> DockerConfig:
    """Raises SourceError for what the kubelet would ignore as a whole and for what would fail every pull."""
    data_key = DATA_KEYS.get(secret_type)
    if data_key is None:
        what = f"its type is {shown(secret_type)}, the kubelet reads {DOCKERCONFIGJSON} and {DOCKERCFG} only"
        raise SourceError([f"{what} (a Secret's type can't be changed: delete it and create it with the right one)"])
    if not data.get(data_key):
        raise SourceError([f"its data has no key {data_key}, which type {secret_type} keeps the credentials in"])
    return parse_config(secret_type, data[data_key])


def parse_config(secret_type: str, content: bytes) -> DockerConfig:
    """The content of the data key, or of a file that `docker login` wrote (as DOCKERCONFIGJSON)."""
    document = _load(DATA_KEYS[secret_type], content)
    problems: list[str] = []
    ignored: list[str] = []
    auths = document
    if secret_type == DOCKERCONFIGJSON:
        fields = _folded(document)
        ignored += [f"{name} (the kubelet has no credential helpers)" for name in document if name.lower() in _HELPERS]
        auths = fields.get("auths") or {}
        if not isinstance(auths, dict):
            raise SourceError(["auths is not an object of registries and credentials"])
    entries = tuple(_entries(auths, problems, ignored))
    if not auths and not ignored:
        problems.append("it holds no credentials")
    if problems:
        raise SourceError(problems)
    return DockerConfig(secret_type, entries, tuple(ignored))


def usable_entries(config: DockerConfig, registries: Iterable[str]) -> tuple[Entry, ...]:
    """The entries that the kubelet would try for some image of the registries (patterns of a mapping)."""
    patterns = [parse_pattern(text) for text in registries]
    return tuple(entry for entry in config.entries if any(key_serves(parse_key(entry.key), each) for each in patterns))


def key_serves(key: Key, pattern: Pattern) -> bool:
    """Whether the kubelet would try the key for some image that the pattern matches."""
    if key.is_fallback and _is_docker_hub(pattern):
        return True
    return (
        key.labels is not None
        and key.port == pattern.host.port.encode()
        and len(key.labels) == len(pattern.globs)
        and _paths_meet(key.path.decode(errors="replace"), pattern.path)
        and all(overlap(mine, theirs) for mine, theirs in zip(key.labels, pattern.globs, strict=True))
    )


def render(entries: Iterable[Entry], secret_type: str) -> bytes:
    """The content of the data key: the same entries give the same bytes, in whatever order they come."""
    auths = {entry.key: _credentials(entry) for entry in entries}
    document = {"auths": auths} if secret_type == DOCKERCONFIGJSON else auths
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _credentials(entry: Entry) -> dict[str, str]:
    if b":" in entry.username:  # `auth` can't say where such a name ends
        return {"username": entry.username.decode(), "password": entry.password.decode()}
    return {"auth": base64.b64encode(entry.username + b":" + entry.password).decode()}


def _is_docker_hub(pattern: Pattern) -> bool:
    labels = DOCKER_HUB.encode().split(b".")
    return (
        not pattern.host.port
        and len(labels) == len(pattern.globs)
        and all(glob.matches(label) for glob, label in zip(pattern.globs, labels, strict=True))
    )


def _paths_meet(key: str, pattern: str) -> bool:
    """Keys are prefixes as plain strings, patterns end at a slash."""
    key = key.removeprefix("/")
    if key and not is_path(key) and not is_path(f"{key}a"):
        return False  # a tag or a glob: no image's path begins so
    return not pattern or f"{pattern}/".startswith(key) or key.startswith(f"{pattern}/")


def _load(data_key: str, content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content.decode(errors="replace"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        # The decoder's own text quotes nothing of the document but positions.
        raise SourceError([f"{data_key} is not JSON: {error}"]) from None
    if not isinstance(document, dict):
        raise SourceError([f"{data_key} is not a JSON object"])
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _folded(document: dict[str, Any]) -> dict[str, Any]:
    """Field names in lower case: Go's decoder takes any case."""
    return {name.lower(): value for name, value in document.items()}


def _entries(auths: dict[str, Any], problems: list[str], ignored: list[str]) -> Iterator[Entry]:
    for key, value in auths.items():
        fields = _folded(value) if isinstance(value, dict) else {}
        wrong = [name for name in _ENTRY_FIELDS & fields.keys() if not isinstance(fields[name], str | None)]
        if not isinstance(value, dict | None) or wrong:
            what = f"{' and '.join(sorted(wrong))} must be text" if wrong else "is not an object"
            problems.append(f"the entry {shown(key)}: {what}; every pull with this Secret fails")
            continue
        tokens = [name for name in _TOKENS if fields.get(name)]
        try:
            parse_key(key)
            entry = _entry(key, fields)
        except IgnoredKeyError as error:
            ignored.append(str(error))
            continue
        except ValueError as error:
            problems.append(f"the entry {shown(key)}: {error}; every pull with this Secret fails")
            continue
        if entry.username or entry.password:
            yield entry
        else:
            what = f"only {' and '.join(tokens)}, which the kubelet does not use" if tokens else "no credentials"
            ignored.append(f"the entry {shown(key)} has {what}")


def _entry(key: str, fields: dict[str, Any]) -> Entry:
    auth = fields.get("auth")
    if auth:
        username, password = _decode_auth(auth)
        return Entry(key, username, password)
    return Entry(key, _encode(fields.get("username")), _encode(fields.get("password")))


def _encode(text: str | None) -> bytes:
    return (text or "").encode(errors="replace")


def _decode_auth(auth: str) -> tuple[bytes, bytes]:
    """Raises ValueError with a text that holds nothing of the credential."""
    text = auth.replace("\r", "").replace("\n", "")  # Go's decoder skips these, and only these
    if auth.strip().endswith("="):
        if len(text) % 4 or text.endswith("==="):
            raise ValueError("auth is not base64")
    else:
        text += "=" * (-len(text) % 4)
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("auth is not base64") from None
    username, colon, password = decoded.partition(b":")
    if not colon:
        raise ValueError("auth is not the base64 of USER:PASSWORD")
    return username, password
