"""Container images without a container builder: one layer over Debian's static busybox, written as a docker-archive."""

import functools
import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Link:
    target: str


@dataclass(frozen=True)
class Script:
    text: str


# Text, text that can be run, a file of this machine, or a symbolic link.
Content = str | Script | Path | Link


def write_image(
    archive: Path,
    *names: str,
    command: Sequence[str] = APPLICATION,
    path: str = "/bin",
    user: str = "0:0",
    files: Mapping[str, Content] | None = None,
) -> Path:
    """Write an image of busybox and `files`; the same input gives the same bytes.

    Args:
        archive: the docker-archive to write, for `skopeo copy docker-archive:…` and `ctr images import`.
        names: its references, each with host and tag; skopeo needs none.
        command: what its containers run.
        path: where they look for programs.
        user: who they run as, numbers of user and group.
        files: more files, by their path in the image, without the slash in front.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    layer = archive.with_suffix(".layer")
    try:
        _write_layer(layer, {**_busybox(), "www/index.html": "it works\n", **(files or {})})
        _write_archive(archive, names, layer, {"Cmd": list(command), "Env": [f"PATH={path}"], "User": user})
    finally:
        layer.unlink(missing_ok=True)
    return archive


def _write_layer(layer: Path, files: Mapping[str, Content]) -> None:
    folders = {str(above) for name in files for above in Path(name).parents} - {"."}
    with tarfile.open(layer, "w", format=tarfile.GNU_FORMAT) as tar:
        for name in sorted(folders | {"tmp"}):
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(member)
        for name, content in files.items():
            _add(tar, name, content)


def _add(tar: tarfile.TarFile, name: str, content: Content) -> None:
    """Without owner. A file keeps its time, by which Python knows whether what it has compiled is still good."""
    member = tarfile.TarInfo(name)
    match content:
        case Link(target):
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
        case Path():
            status = content.stat()
            member.size, member.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
            member.mtime = int(status.st_mtime)
            with content.open("rb") as file:
                tar.addfile(member, file)
        case str() | Script():
            encoded = (content if isinstance(content, str) else content.text).encode()
            member.mode = 0o644 if isinstance(content, str) else 0o755
            member.size = len(encoded)
            tar.addfile(member, io.BytesIO(encoded))


def _write_archive(archive: Path, names: Sequence[str], layer: Path, settings: Mapping[str, object]) -> None:
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    config = json.dumps(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    )
    config_name = f"{hashlib.sha256(config.encode()).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": list(names), "Layers": ["layer.tar"]}])
    contents: dict[str, Content] = {config_name: config, "layer.tar": layer, "manifest.json": manifest}
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in contents.items():
            _add(tar, name, content)


@functools.cache
def _busybox() -> dict[str, Content]:
    if not BUSYBOX.exists():
        raise ClusterError(f"{BUSYBOX} is missing: apt-get install busybox-static")
    listed = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True, timeout=10).stdout
    links = {f"bin/{applet}": Link("busybox") for applet in sorted(set(listed.split()) - {"busybox"})}
    return {"bin/busybox": BUSYBOX, **links}
