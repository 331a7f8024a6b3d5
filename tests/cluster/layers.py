"""What steps changed, kept as layers of an image, and taken again for the same step on top of the same layers.

One process at a time works here: its maker holds the folder's lock.
"""

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import oci
from tests.cluster.errors import ClusterError

# Layers that no image of this time needs: other working trees' that are older, or that have too many.
_KEPT_SECONDS = 7 * 86_400
_KEPT_BYTES = 3 << 30
_WHITEOUT = ".wh."
_BLOB, _RECORD = "layer.tar.gz", "layer.json"
_MAKING = "make-"

State = Mapping[str, tuple[int, ...]]
"""By path in a root, what changes whenever the file does."""


@dataclass(frozen=True)
class Stored:
    layer: oci.Layer
    removed: list[str]
    """What the step removed from the layers below."""


class Store:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for left in folder.glob(f"{_MAKING}*"):  # by a maker that was killed
            shutil.rmtree(left)

    def find(self, key: str) -> Stored | None:
        folder = self._folder / key
        if not folder.exists():
            return None
        os.utime(folder)
        record = json.loads((folder / _RECORD).read_text())
        return Stored(oci.Layer(folder / _BLOB, record["digest"], record["diff_id"]), record["removed"])

    def make(self, key: str, files: Iterable[tuple[str, Path]], removed: Sequence[str] = ()) -> Stored:
        """Keep `files`, by their path in the image, as the layer of `key`; whole or not at all."""
        with tempfile.TemporaryDirectory(prefix=_MAKING, dir=self._folder) as name:
            folder = Path(name) / key
            folder.mkdir()
            layer = oci.write_layer(folder / _BLOB, lambda tar: _fill(tar, files, removed))
            record = {"digest": layer.digest, "diff_id": layer.diff_id, "removed": list(removed)}
            (folder / _RECORD).write_text(json.dumps(record))
            folder.rename(self._folder / key)
        return Stored(oci.Layer(self._folder / key / _BLOB, layer.digest, layer.diff_id), list(removed))

    def prune(self, used: Iterable[str]) -> None:
        """Remove what was not used for long, and the least recently used of what is too much; `used` stays."""
        total = 0
        keys = [one.parent for one in self._folder.glob(f"*/{_RECORD}")]
        for folder in sorted(keys, key=lambda one: one.stat().st_mtime, reverse=True):
            total += (folder / _BLOB).stat().st_size
            old = time.time() - folder.stat().st_mtime > _KEPT_SECONDS
            if folder.name not in used and (old or total > _KEPT_BYTES):
                shutil.rmtree(folder)


def unpack(stored: Stored, root: Path) -> None:
    """Change `root` as the layer's step did."""
    for name in stored.removed:
        gone = root / name
        if gone.is_dir() and not gone.is_symlink():
            shutil.rmtree(gone)
        else:
            gone.unlink(missing_ok=True)
    command = ["tar", "--extract", "--numeric-owner", "--same-permissions", "--keep-directory-symlink"]
    command += [f"--exclude={_WHITEOUT}*", "--directory", str(root), "--file", str(stored.layer.blob)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if ran.returncode != 0:
        raise ClusterError(f"a layer of the image can't be unpacked: {' '.join(command)}: {ran.stderr.strip()}")


def state(root: Path) -> State:
    return dict(_walk(root, ""))


def difference(before: State, after: State) -> tuple[list[str], list[str]]:
    """The paths that changed or came, in order, and those that went or became something else."""
    changed = sorted(name for name, status in after.items() if before.get(name) != status)
    gone = {name for name, status in before.items() if name not in after or _kind(status) != _kind(after[name])}
    removed = sorted(name for name in gone if str(Path(name).parent) not in gone)
    return changed, removed


def _walk(folder: Path, inside: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{inside}{entry.name}"
            status = entry.stat(follow_symlinks=False)
            yield (
                name,
                (status.st_mode, status.st_uid, status.st_gid, status.st_size, status.st_ctime_ns, status.st_ino),
            )
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), f"{name}/")


def _kind(status: tuple[int, ...]) -> int:
    return status[0] & 0o170000


def _fill(tar: tarfile.TarFile, files: Iterable[tuple[str, Path]], removed: Sequence[str]) -> None:
    """Owners are numbers: names are those of this machine."""
    added = set[str]()
    for name, path in files:
        member = tar.gettarinfo(path, name)
        if member is None:  # a socket
            continue
        member.uname = member.gname = ""
        added.add(name)
        if member.isreg():
            with path.open("rb") as content:
                tar.addfile(member, content)
        else:
            tar.addfile(member)
    for name in (one for one in removed if one not in added):
        folder, _, last = name.rpartition("/")
        tar.addfile(tarfile.TarInfo(f"{folder}/{_WHITEOUT}{last}" if folder else f"{_WHITEOUT}{last}"))
