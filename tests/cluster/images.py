"""Container images without a container builder: one layer, written as a docker-archive."""

import functools
import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.errors import ClusterError

BUSYBOX = Path("/bin/busybox")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

# Serves on port 8080 and, as a first process must, hears TERM: Pods end at once, not after their grace period.
APPLICATION = (
    "/bin/sh",
    "-c",
    "trap 'exit 0' TERM; httpd -p 8080 -h /www; echo serving; while :; do sleep 3600 & wait; done",
)
PAUSE = ("/bin/sleep", "infinity")


def write_image(
    archive: Path, *names: str, command: Sequence[str] = APPLICATION, files: Mapping[str, str] | None = None
) -> Path:
    """Write an image of Debian's static busybox and `files` (path to text); the same input gives the same bytes.

    Args:
        archive: the docker-archive to write, for `skopeo copy docker-archive:…` and `ctr images import`.
        names: its references, each with host and tag; skopeo needs none.
        command: what its containers run.
        files: more files, by their path in the image.
    """
    layer = _layer({"www/index.html": "it works\n", **(files or {})})
    config = _json(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Cmd": list(command), "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    )
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = _json([{"Config": config_name, "RepoTags": list(names), "Layers": ["layer.tar"]}])
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(_tar({config_name: config, "layer.tar": layer, "manifest.json": manifest}))
    return archive


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in files.items():
            _add(tar, name, content, 0o644)
    return out.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    tar.addfile(member, io.BytesIO(content))


def _layer(files: Mapping[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for directory in sorted(
            {"bin", "tmp", *(str(above) for name in files for above in Path(name).parents)} - {"."}
        ):
            member = tarfile.TarInfo(directory)
            member.type, member.mode = tarfile.DIRTYPE, 0o1777 if directory == "tmp" else 0o755
            tar.addfile(member)
        busybox, applets = _busybox()
        _add(tar, "bin/busybox", busybox, 0o755)
        for applet in applets:
            member = tarfile.TarInfo(f"bin/{applet}")
            member.type, member.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(member)
        for name, text in files.items():
            _add(tar, name, text.encode(), 0o644)
    return out.getvalue()


@functools.cache
def _busybox() -> tuple[bytes, list[str]]:
    if not BUSYBOX.exists():
        raise ClusterError(f"{BUSYBOX} is missing: apt-get install busybox-static")
    content = BUSYBOX.read_bytes()
    listed = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True, timeout=10).stdout
    return content, sorted(set(listed.split()) - {"busybox"})
