"""Container images without a container builder: one layer over Debian's static busybox."""

import functools
import io
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import oci
from tests.cluster.errors import ClusterError

BUSYBOX = Path("/bin/busybox")

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


# Text, a file of this machine, or a symbolic link.
Content = str | Path | Link


def write_image(
    archive: Path,
    *names: str,
    command: Sequence[str] = APPLICATION,
    files: Mapping[str, Content] | None = None,
) -> Path:
    """Write an image of busybox and `files`; the same input gives the same image.

    Args:
        archive: the OCI archive to write.
        names: its references, each with host and tag; skopeo needs none.
        command: what its containers run.
        files: more files, by their path in the image, without the slash in front.
    """
    content = {**_busybox(), "www/index.html": "it works\n", **(files or {})}
    archive.parent.mkdir(parents=True, exist_ok=True)
    blob = archive.with_suffix(".layer")
    try:
        layer = oci.write_layer(blob, lambda tar: _fill(tar, content))
        settings = {"Cmd": list(command), "Env": ["PATH=/bin"], "User": "0:0"}
        return oci.write_archive(archive, names, [layer], settings)
    finally:
        blob.unlink(missing_ok=True)


def _fill(tar: tarfile.TarFile, files: Mapping[str, Content]) -> None:
    folders = {str(above) for name in files for above in Path(name).parents} - {"."}
    for name in sorted(folders | {"tmp"}):
        member = tarfile.TarInfo(name)
        member.type, member.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
        tar.addfile(member)
    for name, content in files.items():
        _add(tar, name, content)


def _add(tar: tarfile.TarFile, name: str, content: Content) -> None:
    member = tarfile.TarInfo(name)
    match content:
        case Link(target):
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
        case Path():
            status = content.stat()
            member.size, member.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
            with content.open("rb") as file:
                tar.addfile(member, file)
        case str():
            member.mode, member.size = 0o644, len(content.encode())
            tar.addfile(member, io.BytesIO(content.encode()))


@functools.cache
def _busybox() -> dict[str, Content]:
    if not BUSYBOX.exists():
        raise ClusterError(f"{BUSYBOX} is missing: apt-get install busybox-static")
    listed = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True, timeout=10).stdout
    links = {f"bin/{applet}": Link("busybox") for applet in sorted(set(listed.split()) - {"busybox"})}
    return {"bin/busybox": BUSYBOX, **links}
