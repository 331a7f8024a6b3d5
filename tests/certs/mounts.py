"""A directory that changes as a mounted Secret does."""

from pathlib import Path

from certs.pki import KeyPair


def mount(directory: Path, pair: KeyPair) -> None:
    """As the kubelet does: a new directory, and a link to it swapped in one go."""
    fresh = directory / f"..{len(list(directory.iterdir()))}"
    fresh.mkdir()
    (fresh / "tls.crt").write_bytes(pair.certificate)
    (fresh / "tls.key").write_bytes(pair.key)
    link = directory / "..tmp"
    link.symlink_to(fresh.name)
    link.replace(directory / "..data")
    for name in ("tls.crt", "tls.key"):
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")
