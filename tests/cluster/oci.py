"""Container images as OCI archives, which `skopeo copy oci-archive:…` and `ctr images import` take."""

import gzip
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_TYPE = "application/vnd.oci.image"
# The weakest: a layer goes over the loopback device alone.
_COMPRESSION = 1


@dataclass(frozen=True)
class Layer:
    blob: Path
    digest: str
    """Of the blob, which is compressed."""
    diff_id: str
    """Of the tar archive in it."""


def write_layer(blob: Path, fill: Callable[[tarfile.TarFile], None]) -> Layer:
    """Write what `fill` adds as a layer; the same members give the same bytes."""
    with blob.open("wb") as file:
        packed = _Hashed(file)
        with gzip.GzipFile("", "wb", _COMPRESSION, packed, mtime=0) as archive:
            plain = _Hashed(archive)
            with tarfile.open(fileobj=plain, mode="w|", format=tarfile.GNU_FORMAT) as tar:
                fill(tar)
    return Layer(blob, packed.digest, plain.digest)


def write_archive(archive: Path, names: Sequence[str], layers: Sequence[Layer], settings: Mapping[str, object]) -> Path:
    """Write an image.

    Args:
        archive: the file to write.
        names: the image's references, each with host and tag; skopeo needs none.
        layers: the lowest first.
        settings: what its containers run, as whom, with which environment.
    """
    config = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
    }
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as tar:
        described = [_described("layer.v1.tar+gzip", layer.digest, layer.blob.stat().st_size) for layer in layers]
        manifest = {"schemaVersion": 2, "config": _add(tar, "config.v1+json", config), "layers": described}
        image = _add(tar, "manifest.v1+json", manifest)
        named = [{**image, "annotations": {"io.containerd.image.name": name}} for name in names]
        _add_text(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": named or [image]}))
        _add_text(tar, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}))
        for digest, blob in {layer.digest: layer.blob for layer in layers}.items():
            tar.add(blob, _path(digest))
    return archive


class _Hashed(io.RawIOBase):
    """A file for writing that knows the digest of what went through it."""

    def __init__(self, target: BinaryIO | gzip.GzipFile) -> None:
        super().__init__()
        self._target = target
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, data: "Buffer") -> int:
        self._hash.update(data)
        return self._target.write(data)


def _add(tar: tarfile.TarFile, kind: str, content: Mapping[str, object]) -> dict[str, object]:
    text = json.dumps(content)
    digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    _add_text(tar, _path(digest), text)
    return _described(kind, digest, len(text.encode()))


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(text.encode())
    tar.addfile(member, io.BytesIO(text.encode()))


def _described(kind: str, digest: str, size: int) -> dict[str, object]:
    return {"mediaType": f"{_TYPE}.{kind}", "digest": digest, "size": size}


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
