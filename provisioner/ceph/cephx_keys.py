"""Explains why a cephx key cannot be used. No text holds the key.

A key is base64 of its type, its time, its length and its bytes. librados before 19.2.6 and 20.2.4 knows type 1, `aes`,
only. These releases added type 2, `aes256k`, and clusters that they create accept no other.
"""

import base64
import binascii
import errno
import re
import struct
from pathlib import Path

AES, AES256K = 1, 2
_BYTES = {AES: 16, AES256K: 32}
_HEADER = struct.Struct("<HIIH")
_PACKAGES = Path("/var/lib/dpkg/status")

UNUSABLE = frozenset({errno.EINVAL, errno.EIO, errno.EISDIR, errno.ENOENT})
"""Errors of a connection attempt with an invalid key, keyring or address; librados 20 reports keys as ENOENT."""
_READ_AES256K = {19: (19, 2, 6), 20: (20, 2, 4)}
"""The first release of librados that reads such keys, by its series. All later series read them."""


def key_type(key: str) -> int | None:
    """The type of the key; None if it is not a cephx key."""
    try:
        raw = base64.b64decode(key, validate=True)
        kind, _, _, length = _HEADER.unpack_from(raw)
    except (binascii.Error, ValueError, struct.error):
        return None
    whole = len(raw) == _HEADER.size + length and length == _BYTES.get(kind, length)
    return int(kind) if whole else None


def find_in_keyring(text: str, user: str) -> str | None:
    """The key of client.`user` in the text of a keyring; None if it has none."""
    section = re.search(rf"^\s*\[client\.{re.escape(user)}\]\s*$(.*?)(?=^\s*\[|\Z)", text, re.MULTILINE | re.DOTALL)
    found = re.search(r"^\s*key\s*=\s*(\S+)", section[1], re.MULTILINE) if section else None
    return found[1].strip('"') if found else None


def can_read(kind: int, version: str) -> bool:
    """Whether a librados of this version reads keys of this type. One of unknown version reads type `aes` only."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    newer = bool(numbers) and numbers >= _READ_AES256K.get(numbers[0], (21, 2))
    return kind == AES or (kind == AES256K and newer)


def explain_unusable(key: str | None, user: str, where: str) -> str:
    """Why librados could not start to connect with this key. `where` names the source of the key."""
    if key is None:
        return (
            f"{where} is not a readable keyring with a key for client.{user}, or an option in the configuration is "
            f"invalid: ceph auth get client.{user} prints a valid keyring"
        )
    version = librados_version()
    match key_type(key):
        case None:
            return f"the key in {where} is not a cephx key: use the complete output of ceph auth get-key client.{user}"
        case kind if can_read(kind, version):
            return "the key is well-formed, so another option is invalid: check the monitors' addresses in mon host"
        case kind:
            name = "aes256k" if kind == AES256K else f"{kind}, which is newer than aes256k"
            needed = "19.2.6, 20.2.4 or later" if kind == AES256K else "of a newer version"
            own = f" ({version})" if version else ""
            return (
                f"the key in {where} is of type {name}, which this librados{own} does not support: "
                f"use a Sutler with a librados {needed}, or create a user with a key of the older type "
                "(ceph mon set auth_allowed_ciphers aes,aes256k; then ceph auth get-or-create client.NAME with the "
                "same caps and --key-type aes)"
            )


def explain_refused(key: str | None, user: str, where: str) -> str:
    """Why the monitors rejected a key that librados accepts. `where` names the source of the key."""
    printed = f"ceph auth get client.{user}"
    if key is None:
        return f"{where} has no key for client.{user}: {printed} prints a valid keyring"
    text = f"the monitors reject its key: check that {printed} prints the same key"
    if key_type(key) == AES:
        return (
            f"{text}; if it does, the key is of type aes and the cluster accepts newer types only (ceph mon dump: "
            "auth_allowed_ciphers); ceph mon set auth_allowed_ciphers aes,aes256k allows both"
        )
    return (
        f"{text}, and that the cluster accepts keys of its type, aes256k (ceph mon dump: auth_allowed_ciphers; Ceph "
        "before 19.2.6 and 20.2.4 does not know this type)"
    )


def librados_version() -> str:
    """The version of the installed package, such as "20.2.4": the library knows only that of its interface.

    Empty if the version is unknown.
    """
    try:
        packages = _PACKAGES.read_text(errors="replace")
    except OSError:
        return ""
    found = re.search(r"^Package: librados2\n(?:.+\n)*?Version: ([\d.]+)", packages, re.MULTILINE)
    return found[1] if found else ""
