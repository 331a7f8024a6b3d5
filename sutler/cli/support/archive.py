"""Writes a support dump as a tar archive or a folder, readable by its owner only."""

import gzip
import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

from sutler.cli.exit_codes import UsageError

ARCHIVE_ENDINGS = (".tar.gz", ".tgz")


def require_absent(path: Path) -> None:
    """Nothing is overwritten. Raises UsageError."""
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} exists: name another file or folder")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path.parent} is not a folder: create it first")


def write(path: Path, files: Mapping[str, str], seconds: float) -> None:
    """An archive if the name ends as one, else a folder. `seconds`: the time of the files, since 1970.

    Raises UsageError if the path cannot be written.
    """
    try:
        if path.name.endswith(ARCHIVE_ENDINGS):
            _write_archive(path, files, seconds)
        else:
            _write_folder(path, files)
    except OSError as error:
        raise UsageError(f"{error.filename or path}: {error.strerror}") from error


def _write_archive(path: Path, files: Mapping[str, str], seconds: float) -> None:
    top = path.name.removesuffix(".tgz").removesuffix(".tar.gz")
    with (
        os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=seconds) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in sorted(files):
            content = files[name].encode(errors="replace")
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size, member.mtime, member.mode = len(content), seconds, 0o600
            tar.addfile(member, io.BytesIO(content))


def _write_folder(path: Path, files: Mapping[str, str]) -> None:
    path.mkdir(mode=0o700)
    for name in sorted(files):
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(files[name], encoding="utf-8", errors="replace")
