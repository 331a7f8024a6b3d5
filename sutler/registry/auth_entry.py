"""One entry of a docker config: whether the kubelet can use it, and if not, why. Pure: no I/O.

This is the only parser of credentials: the secrets controller, `registry add` and `import`, `explain` and `doctor` all
use it. None of its texts holds a credential.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from sutler.registry.go_json import GoObject, folded
from sutler.registry.keyring import IgnoredKeyError, encode, parse_key, without_user

_FIELDS = ("username", "password", "email", "auth")
_TOKENS = ("identitytoken", "registrytoken")
ENTRY_FIELDS = frozenset((*_FIELDS, *_TOKENS))
_TOKEN_USER = b"<token>"  # of an identity token in docker's credential helpers, and of any token in OpenShift
_BREAKS = b"\r\n"
_unfilled = re.compile(
    rb"\$\{.*\}|\$\(.*\)|`.*`|\$(?:env:)?[A-Z_][A-Z0-9_]*|\{\{.*\}\}|#\{.*\}#?|%[A-Z_]+%|<[^<>]+>|\*+"
    rb"|null|None|undefined|\[?REDACTED\]?"
).fullmatch
_quoted = re.compile(rb"""(["']).+\1""", re.DOTALL).fullmatch

_own_token = re.compile(r"[a-z0-9.-]+\.docker\.(?:io|com)/(?:.*/)?(?:access|refresh)-token").fullmatch
_OWN_NAMES = frozenset(("hub-tool", "hub-tool-token", "hub-tool-refresh-token"))


@dataclass(frozen=True, slots=True)
class AuthEntry:
    """A credential that the kubelet can use."""

    key: str
    """The key of the config, without a user and password before the host: the kubelet ignores these."""
    username: bytes = field(repr=False)
    password: bytes = field(repr=False)
    doubt: str = field(default="", compare=False)
    """Why the registry may still reject it, as a sentence about `it`; usually empty."""

    @property
    def unbroken(self) -> "AuthEntry":
        """The entry without the line breaks that `echo` adds to names and passwords."""
        username, password = self.username.strip(_BREAKS), self.password.strip(_BREAKS)
        if (username, password) == (self.username, self.password):
            return self
        return AuthEntry(self.key, username, password, doubts(username, password))


@dataclass(frozen=True, slots=True)
class SkippedEntry:
    """An entry that the kubelet can't use."""

    key: str
    why: str
    """The reason as a sentence about `it`."""
    fatal: bool = False
    """Whether every pull with a Secret that has this entry fails."""
    password_elsewhere: bool = False
    """Whether the key is a registry, which could be added with a password from another place."""
    empty: bool = False
    """Whether it has no user name, no password and no token."""

    @property
    def serious(self) -> str:
        return f"{self.why}; every pull with this Secret fails"


def read_entry(key: str, value: Any) -> AuthEntry | SkippedEntry:
    """Parse one entry; `value` is from `go_json.load`."""
    written, key = key, without_user(key)
    if not isinstance(value, GoObject | None):
        return SkippedEntry(key, "it is not an object", fatal=True, password_elsewhere=True)
    texts: dict[str, str] = {}
    for name, found in value.pairs if value else ():
        if folded(name) not in ENTRY_FIELDS or found is None:
            continue
        if isinstance(found, str):
            texts[folded(name)] = found
        elif folded(name) in _FIELDS:
            return SkippedEntry(key, f"its {folded(name)} must be text", fatal=True, password_elsewhere=True)
    try:
        username, password = _credential(texts)
    except ValueError as error:
        return SkippedEntry(key, str(error), fatal=True, password_elsewhere=True)
    if key != written and (why := _misread(written, key)):
        return SkippedEntry(key, why, password_elsewhere=True)
    found = _judged(key, username, password, texts)
    if key == written or isinstance(found, SkippedEntry):
        return found
    user = "its key has a user name or a password in front of @, which the kubelet does not use"
    return replace(found, doubt=f"{found.doubt}; {user}" if found.doubt else user)


def _misread(written: str, key: str) -> str:
    """Why the kubelet does not find the registry in a key with a part before @; empty if it does."""
    try:
        same = parse_key(written).normal == parse_key(key).normal
    except IgnoredKeyError as error:
        return f"it has a user name or a password in front of @, and {error.why}; the kubelet ignores it"
    return "" if same else "it has a user name or a password in front of @, which to the kubelet is the registry"


def bookkeeping(key: str) -> str:
    """What docker stores under one of its own keys, which is no registry; empty for any other key."""
    try:
        normal = parse_key(key).normal.decode(errors="replace").rstrip("/")
    except IgnoredKeyError:
        return ""
    if _own_token(normal):
        return "it is docker's own token for Docker Hub, not a registry"
    return "it is the hub-tool's own login, not a registry" if normal in _OWN_NAMES else ""


def doubts(username: bytes, password: bytes) -> str:
    found = []
    for what, value in (("user name", username), ("password", password)):
        if value != value.strip(_BREAKS):
            found.append(f"its {what} begins or ends with a line break, which the registry takes as a part of it")
        elif value != value.strip():
            found.append(f"its {what} begins or ends with a space")
        found += (f"its {what} {why}" for why in _odd(value))
    if username == _TOKEN_USER:
        found.append("its user name says that the password is a token, which few registries take (OpenShift's does)")
    if username == b"_json_key" and not password.lstrip().startswith(b"{"):
        found.append("its user name is _json_key, and its password is not the JSON of a key")
    if b":" in username:
        found.append("its user name has a colon, which Basic authentication can't carry")
    return "; ".join(found)


def _odd(value: bytes) -> Iterator[str]:
    """What is usually a mistake in a user name or a password."""
    if _unfilled(value) and value != _TOKEN_USER:
        yield "looks like a variable that was not filled in"
    if _quoted(value):
        yield "is in quotes, which the registry takes as a part of it"
    try:
        text = value.strip().decode()
    except UnicodeDecodeError:
        yield "is not UTF-8, which container runtimes reject"
        return
    if not text.startswith("{") and "\n" in text:  # some clouds' passwords are JSON of several lines
        yield "holds a line break"
    if any(not letter.isprintable() and letter not in "\r\n\t" for letter in text):
        yield "holds characters that can't be seen, such as a byte order mark or the zero bytes of UTF-16"
    if "\ufffd" in text:
        yield "holds U+FFFD, which replaces a lost character"


def _judged(key: str, username: bytes, password: bytes, texts: dict[str, str]) -> AuthEntry | SkippedEntry:
    try:
        parse_key(key)
    except IgnoredKeyError as error:
        return SkippedEntry(key, f"it is no registry: {error.why}; the kubelet ignores it")
    if own := bookkeeping(key):
        return SkippedEntry(key, own)
    tokens = " and ".join(name for name in _TOKENS if texts.get(name))
    if not password.strip() or not username.strip():
        empty = not (username or password or tokens)
        return SkippedEntry(key, _lacking(username, password, tokens), password_elsewhere=True, empty=empty)
    found = doubts(username, password)
    if texts.get("auth") and any(
        texts.get(name) and encode(texts[name]) != value
        for name, value in (("username", username), ("password", password))
    ):
        other = "its auth and its username and password differ, and the kubelet takes auth"
        found = f"{found}; {other}" if found else other
    return AuthEntry(key, username, password, found)


def _lacking(username: bytes, password: bytes, tokens: str) -> str:
    if tokens:
        return f"it has only {tokens}, which the kubelet does not use: it needs a user name and a password"
    if username.strip():
        return "it has no password"
    return "it has no user name" if password.strip() else "it has no credentials, no user name and no password"


def _credential(texts: dict[str, str]) -> tuple[bytes, bytes]:
    """User name and password. Raises ValueError with a text without the credential."""
    auth = texts.get("auth")
    if auth:
        return _decoded(auth)
    return encode(texts.get("username", "")), encode(texts.get("password", ""))


def _decoded(auth: str) -> tuple[bytes, bytes]:
    decoded = _base64(auth)
    if decoded is None:
        plain = ": it is plain USER:PASSWORD" if ":" in auth else ""
        raise ValueError(f"its auth is not base64{plain}")
    username, colon, password = decoded.partition(b":")
    if not colon:
        twice = b":" in (_base64(decoded.decode(errors="replace").strip()) or b"")
        raise ValueError(f"its auth is not the base64 of USER:PASSWORD{', but the base64 of that' if twice else ''}")
    return username, password


def _base64(text: str) -> bytes | None:
    plain = text.replace("\r", "").replace("\n", "")  # Go's decoder skips these, and only these
    if text.strip().endswith("="):
        if len(plain) % 4 or plain.endswith("==="):
            return None
    else:
        plain += "=" * (-len(plain) % 4)
    try:
        return base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError):
        return None
