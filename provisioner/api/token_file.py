"""Authenticates and authorizes users by a token file, for a service outside of Kubernetes.

A line has the form ``token,user,role``; role is viewer, editor or admin. Empty lines and lines that begin with ``#``
are skipped. The file is read again when it changes; while it is invalid, the former tokens stay valid.
"""

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path

from provisioner.api.authorization import ROLES, Permission, Role, User
from sutler import log
from sutler.errors import SutlerError

_log = log.get(__name__)
_CHECK_SECONDS = 1.0
"""Seconds between two checks of the file."""
_SHORTEST_TOKEN = 16
"""Characters of a token: a shorter one could be guessed."""


class TokenFileError(SutlerError):
    """The file is invalid. The text never quotes a token."""


class TokenFile:
    def __init__(self, path: Path) -> None:
        """Raises TokenFileError: without tokens, the service is useless."""
        self._path = path
        self._next_check = 0.0
        self._stamp = self._read_stamp()
        self._users = parse(_read_text(path), path.name)

    async def authenticate(self, token: str) -> User | None:
        self._refresh()
        return self._users.get(_digest(token))

    async def is_allowed(self, user: User, permission: Permission, pool: str | None) -> bool:  # noqa: ARG002 - roles are for all pools
        return user.role is not None and permission.verb in ROLES[user.role][permission.resource]

    def _read_stamp(self) -> tuple[int, int]:
        try:
            status = self._path.stat()
        except OSError:
            return (0, 0)
        return (status.st_mtime_ns, status.st_ino)

    def _refresh(self) -> None:
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + _CHECK_SECONDS
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._users = parse(_read_text(self._path), self._path.name)
            _log.info("token file read", users=len(self._users))
        except TokenFileError as error:
            _log.warning("token file is invalid, the former tokens stay valid", reason=str(error))


def parse(text: str, name: str) -> Mapping[bytes, User]:
    """Digest of the token → user. A lookup by digest takes the same time for every wrong token."""
    users = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = [part.strip() for part in line.split(",")]
        if len(parts) != 3 or not parts[1]:  # noqa: PLR2004 - token,user,role
            raise TokenFileError(f"{name} line {number} is not token,user,role")
        token, user, role = parts
        if role not in set(Role):
            raise TokenFileError(f"{name} line {number}: role {role!r} is not viewer, editor or admin")
        if len(token) < _SHORTEST_TOKEN:
            raise TokenFileError(f"{name} line {number}: the token is shorter than {_SHORTEST_TOKEN} characters")
        users[_digest(token)] = User(user, role=Role(role))
    if not users:
        raise TokenFileError(f"{name} has no tokens: add lines of token,user,role")
    return users


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenFileError(
            f"token file {path} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}"
        ) from error


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
