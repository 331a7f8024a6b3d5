"""What is wrong with a cephx key that can't be used, in words that never hold the key: pure but for two files.

A key is base64 of its type, the time it was made, its length and its bytes. Type 1, `aes`, is the only one that
librados knew until 19.2.6 and 20.2.4, which brought type 2, `aes256k`. A cluster that these have made allows no other.
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
"""With which connecting fails where a key, a keyring or an address can't be read; librados 20 says ENOENT of keys."""
_READ_AES256K = {19: (19, 2, 6), 20: (20, 2, 4)}
"""The first release of librados that does, by its series; all of later series do."""


def key_type(key: str) -> int | None:
    """None: it is no cephx key."""
    try:
        raw = base64.b64decode(key, validate=True)
        kind, _, _, length = _HEADER.unpack_from(raw)
    except (binascii.Error, ValueError, struct.error):
        return None
    whole = len(raw) == _HEADER.size + length and length == _BYTES.get(kind, length)
    return int(kind) if whole else None


def in_keyring(text: str, user: str) -> str | None:
    """The key of client.`user` in a keyring file."""
    section = re.search(rf"^\s*\[client\.{re.escape(user)}\]\s*$(.*?)(?=^\s*\[|\Z)", text, re.MULTILINE | re.DOTALL)
    found = re.search(r"^\s*key\s*=\s*(\S+)", section[1], re.MULTILINE) if section else None
    return found[1].strip('"') if found else None


def reads(kind: int, version: str) -> bool:
    """Whether a librados of this version reads keys of this type; one whose version is not known reads `aes` alone."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    newer = bool(numbers) and numbers >= _READ_AES256K.get(numbers[0], (21, 2))
    return kind == AES or (kind == AES256K and newer)


def why_unusable(key: str | None, user: str, where: str) -> str:
    """Why librados could not begin to connect with this key, which it has from `where`."""
    if key is None:
        return (
            f"{where} can't be read as a keyring with a key for client.{user}, or an option in the configuration is "
            f"not valid: ceph auth get client.{user} prints the keyring as it has to be"
        )
    match key_type(key):
        case None:
            return f"the key in {where} is no cephx key: take what ceph auth get-key client.{user} prints, whole"
        case kind if reads(kind, version()):
            return "the key is well-formed, so another option is not valid: check the monitors' addresses in mon host"
        case kind:
            name = "aes256k" if kind == AES256K else f"{kind}, which is newer than aes256k,"
            needed = "19.2.6, 20.2.4 or later" if kind == AES256K else "newer"
            own = f" ({found})" if (found := version()) else ""
            return (
                f"the key in {where} is of type {name} and this librados{own} can't read it: either use a "
                f"Sutler whose librados is {needed}, or make a user with a key of the older type (ceph "
                "mon set auth_allowed_ciphers aes,aes256k; then ceph auth get-or-create client.NAME with the same caps "
                "and --key-type aes)"
            )


def why_refused(key: str | None, user: str, where: str) -> str:
    """Why the monitors did not accept a key that librados can read."""
    printed = f"ceph auth get client.{user}"
    if key is None:
        return f"{where} has no key for client.{user}: {printed} prints the keyring as it has to be"
    text = f"the monitors do not accept its key: check that {printed} prints this key"
    if key_type(key) == AES:
        return (
            f"{text}; where it does, the key is of type aes and the cluster accepts only newer ones (ceph mon dump: "
            "auth_allowed_ciphers), which ceph mon set auth_allowed_ciphers aes,aes256k changes"
        )
    return (
        f"{text}, and that the cluster accepts keys of its type, aes256k (ceph mon dump: auth_allowed_ciphers; Ceph "
        "before 19.2.6 and 20.2.4 does not know it)"
    )


def version() -> str:
    """Of librados, as in "20.2.4": the library itself tells the number of its interface only. Empty: not known."""
    try:
        packages = _PACKAGES.read_text(errors="replace")
    except OSError:
        return ""
    found = re.search(r"^Package: librados2\n(?:.+\n)*?Version: ([\d.]+)", packages, re.MULTILINE)
    return found[1] if found else ""
