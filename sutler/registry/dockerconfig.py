"""The docker config of a pull secret: parsed as by the kubelet, reduced to the needed entries, rendered byte-stable.

Pure: no I/O. No message and no repr holds a credential.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sutler.errors import SutlerError
from sutler.registry.auth_entry import ENTRY_FIELDS, AuthEntry, SkippedEntry, read_entry
from sutler.registry.go_json import GoObject, NotJsonError, folded, load, plain
from sutler.registry.key_coverage import RegistryCoverage
from sutler.registry.keyring import IgnoredKeyError, parse_key
from sutler.text import quoted

DOCKERCONFIGJSON = "kubernetes.io/dockerconfigjson"
DOCKERCFG = "kubernetes.io/dockercfg"
DATA_KEYS = {DOCKERCONFIGJSON: ".dockerconfigjson", DOCKERCFG: ".dockercfg"}
"""The data key of the config, by type of Secret. The kubelet ignores Secrets of other types."""

_HELPERS = ("credsstore", "credhelpers")
_CLIENT_FIELDS = frozenset(
    (*_HELPERS, "auths", "httpheaders", "psformat", "imagesformat", "detachkeys", "experimental", "plugins", "aliases")
) | {"proxies", "currentcontext", "stackorchestrator", "features"}
"""Fields of docker's config.json in lower case. The old form has registries only."""


class SourceError(SutlerError):
    """The Secret is not a usable pull secret; `problems` lists all mistakes."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class DockerConfig:
    type: str
    entries: tuple[AuthEntry, ...]
    left: tuple[SkippedEntry, ...] = ()
    """The entries that the kubelet can't use."""
    helpers: tuple[str, ...] = ()
    """The names of its fields for credential helpers."""

    @property
    def keys(self) -> frozenset[str]:
        return frozenset([*(entry.key for entry in self.entries), *(left.key for left in self.left)])

    @property
    def problems(self) -> list[str]:
        """Why every pull of a Pod that names the Secret fails; empty if none does."""
        found = [f"the entry {quoted(each.key)}: {each.serious}" for each in self.left if each.fatal]
        return found if found or self.entries or self.left or self.helpers else ["it holds no credentials"]

    @property
    def ignored(self) -> tuple[str, ...]:
        """Texts about entries and fields that the kubelet does not use."""
        helpers = [f"{name} (the kubelet has no credential helpers)" for name in self.helpers]
        return (*helpers, *(f"the entry {quoted(each.key)}: {each.why}" for each in self.left))

    @property
    def doubts(self) -> tuple[str, ...]:
        """Texts about entries that the kubelet uses and a registry may reject."""
        return tuple(f"the entry {quoted(entry.key)}: {entry.doubt}" for entry in self.entries if entry.doubt)


def parse_secret(secret_type: str, data: Mapping[str, bytes]) -> DockerConfig:
    """Parse a Secret. Raises SourceError if the kubelet ignores all of it, or if every pull with it fails."""
    return _whole(read_secret(secret_type, data))


def parse_config(secret_type: str, content: bytes) -> DockerConfig:
    """Parse the content of the data key. Raises SourceError for any mistake."""
    return _whole(read_config(secret_type, content))


def read_secret(secret_type: str, data: Mapping[str, bytes]) -> DockerConfig:
    """Parse a Secret and skip entries with mistakes. Raises SourceError if no entries can be found."""
    data_key = DATA_KEYS.get(secret_type)
    if data_key is None:
        what = f"its type is {quoted(secret_type)}, the kubelet reads {DOCKERCONFIGJSON} and {DOCKERCFG} only"
        raise SourceError([f"{what} (a Secret's type can't be changed: delete it and create it with the right one)"])
    if not data.get(data_key):
        raise SourceError([f"its data has no key {data_key}, which type {secret_type} keeps the credentials in"])
    try:
        return read_config(secret_type, data[data_key])
    except SourceError as error:
        raise SourceError([f"{data_key}: {problem}" for problem in error.problems]) from None


def read_config(secret_type: str, content: bytes) -> DockerConfig:
    """Parse the content of the data key, or of a file of `docker login` (as DOCKERCONFIGJSON)."""
    try:
        document = load(content)
    except NotJsonError as error:
        raise SourceError([f"it is {error}"]) from None
    if not isinstance(document, GoObject):
        raise SourceError(["it is not a JSON object"])
    helpers: tuple[str, ...] = ()
    auths = document.as_map()
    if secret_type == DOCKERCONFIGJSON:
        helpers = tuple(name for name, _ in document.pairs if folded(name) in _HELPERS)
        auths = _merged(document)
    read = [read_entry(key, value) for key, value in auths.items()]
    entries = tuple(each for each in read if isinstance(each, AuthEntry))
    return DockerConfig(secret_type, entries, tuple(each for each in read if isinstance(each, SkippedEntry)), helpers)


def type_of(document: GoObject) -> str | None:
    """The type of Secret for this form of docker config; None if it is no docker config."""
    if any(folded(name) in _CLIENT_FIELDS for name, _ in document.pairs):
        return DOCKERCONFIGJSON
    entries = [value for _, value in document.pairs if isinstance(value, GoObject)]
    # One with a credential is enough: the others may be faulty.
    known = any(folded(name) in ENTRY_FIELDS for entry in entries for name, _ in entry.pairs)
    return DOCKERCFG if known or (entries and not any(entry.pairs for entry in entries)) else None


def usable_entries(config: DockerConfig, registries: Iterable[str]) -> tuple[AuthEntry, ...]:
    """The entries that the kubelet would try for some image of the registries (patterns of a mapping)."""
    serving = RegistryCoverage.parsed(registries)
    return tuple(entry for entry in config.entries if serving.served_by(parse_key(entry.key)))


def copied(config: DockerConfig, registries: Iterable[str]) -> DockerConfig:
    """What copies for these registries hold. Faults of other registries' entries don't keep it back.

    Raises:
        SourceError: for an entry of these registries that can't be read. A copy without it would lose a credential.
    """
    serving = RegistryCoverage.parsed(registries)
    broken = DockerConfig(config.type, (), tuple(each for each in config.left if each.fatal and _serves(each, serving)))
    if broken.left:
        raise SourceError(broken.problems)
    if not config.entries and config.problems:
        raise SourceError(config.problems)
    entries = tuple(entry for entry in config.entries if serving.served_by(parse_key(entry.key)))
    return DockerConfig(config.type, entries, config.left, config.helpers)


def with_entry(secret_type: str, content: bytes, entry: AuthEntry) -> bytes | None:
    """The content with this entry instead of those that mean the same registry; all else stays. None: it has it.

    Raises SourceError where the content can't be read.
    """
    config = read_config(secret_type, content)
    normal = parse_key(entry.key).normal
    same = [each for each in config.entries if _normal(each.key) == normal]
    if same == [entry] and not any(_normal(left.key) == normal for left in config.left):
        return None
    document = load(content)
    modern = secret_type == DOCKERCONFIGJSON
    auths = _merged(document) if modern else document.as_map()
    kept = {key: plain(value) for key, value in auths.items() if _normal(key) != normal} | {
        entry.key: credentials(entry)
    }
    others = {name: plain(value) for name, value in document.pairs if folded(name) != "auths"} if modern else {}
    return dumped({**others, "auths": kept} if modern else kept)


def render(entries: Iterable[AuthEntry], secret_type: str) -> bytes:
    """The content of the data key: the same entries give the same bytes in any order."""
    auths = {entry.key: credentials(entry) for entry in entries}
    return dumped({"auths": auths} if secret_type == DOCKERCONFIGJSON else auths)


def dumped(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def credentials(entry: AuthEntry) -> dict[str, str]:
    if b":" in entry.username:  # the end of such a name is ambiguous in `auth`
        return {"username": entry.username.decode(), "password": entry.password.decode()}
    return {"auth": base64.b64encode(entry.username + b":" + entry.password).decode()}


def _whole(config: DockerConfig) -> DockerConfig:
    if problems := config.problems:
        raise SourceError(problems)
    return config


def _merged(document: GoObject) -> dict[str, Any]:
    """The entries of `auths`; Go merges several fields of this name."""
    auths: dict[str, Any] = {}
    for found in document.values("auths"):
        if found is None:
            auths = {}
        elif isinstance(found, GoObject):
            auths |= found.as_map()
        else:
            raise SourceError(["auths is not an object of registries and credentials"])
    return auths


def _normal(key: str) -> bytes | None:
    try:
        return parse_key(key).normal
    except IgnoredKeyError:
        return None


def _serves(left: SkippedEntry, serving: RegistryCoverage) -> bool:
    try:
        return serving.served_by(parse_key(left.key))
    except IgnoredKeyError:
        return False
