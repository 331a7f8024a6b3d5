"""cephx secrets and keyrings, pure but for the randomness."""

import base64
import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Cipher = Literal["aes", "aes256k"]
"""aes256k: the only one that a cluster made by Ceph 20.2.4 or newer accepts, and no librados older than that reads."""
Capabilities = Mapping[str, str]
"""What a user may do, by kind of daemon."""

_KINDS: Mapping[Cipher, tuple[int, int]] = {"aes": (1, 16), "aes256k": (2, 32)}


def write(keyring: Path, users: Mapping[str, Capabilities], ciphers: Mapping[str, Cipher]) -> None:
    """Write a keyring of fresh secrets, each of the cipher that `ciphers` has for the user, else "aes"."""
    lines = []
    for name, allowed in users.items():
        lines += [f"[{name}]", f"key = {fresh(ciphers.get(name, 'aes'))}"]
        lines += [f'caps {service} = "{what}"' for service, what in allowed.items()]
    keyring.touch(mode=0o600)
    keyring.write_text("\n".join(lines) + "\n")


def copy(user: str, source: Path, target: Path) -> None:
    """Write a keyring of this one user of another keyring."""
    sections = source.read_text().split("\n[")
    (found,) = (one for one in sections if one.lstrip("[").startswith(f"{user}]"))
    target.touch(mode=0o600)
    target.write_text(f"[{found.lstrip('[')}\n")


def fresh(cipher: Cipher) -> str:
    """A secret: kind, creation time, length, random bytes."""
    kind, length = _KINDS[cipher]
    return base64.b64encode(struct.pack("<HIIH", kind, int(time.time()), 0, length) + os.urandom(length)).decode()
