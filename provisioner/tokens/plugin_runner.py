"""Runs credential provider plug-ins: a file of one folder, an empty environment, an end to time and output.

In a thread, with the standard library's own parts: a grandchild that keeps the output open must not be waited for.
"""

import asyncio
import os
import selectors
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from provisioner.tokens.planning.failure import Reason, TokenError
from sutler import log

PLUGIN_SECONDS = 60.0
"""As the kubelet gives it."""

LARGEST_OUTPUT_BYTES = 64 * 1024

_POLL_SECONDS = 0.05
_DRAIN_SECONDS = 0.5
"""After the plug-in's end, for what it wrote last."""

_log = log.get(__name__)


class PluginRunner:
    """`folder` None: no plug-in is ever run."""

    def __init__(
        self,
        folder: Path | None,
        passed_on: Iterable[str],
        environment: Mapping[str, str],
        *,
        seconds: float = PLUGIN_SECONDS,
    ) -> None:
        self._folder = folder
        self._environment = {name: environment[name] for name in passed_on if name in environment}
        self._seconds = seconds

    async def run(self, name: str, request: bytes) -> bytes:
        """What it prints for this request. Raises TokenError, which quotes nothing of it."""
        path = self._path(name)
        stopped = threading.Event()
        try:
            return await asyncio.to_thread(_run, path, self._environment, request, self._seconds, stopped)
        finally:
            stopped.set()

    def _path(self, name: str) -> Path:
        if self._folder is None:
            raise _failed(name, "this process runs none: start it with --plugin-folder")
        if name in {"", ".", ".."} or "/" in name or "\0" in name or any(map(str.isspace, name)):
            raise _failed(name, "a plug-in is a file's name, without a slash or a space")
        path = self._folder / name
        for part, what in ((self._folder, "its folder"), (path, "it")):
            try:
                mode = part.stat().st_mode
            except OSError as error:
                raise _failed(name, f"{what} is not in the process's image ({error.strerror})") from None
            if mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise _failed(name, f"{what} can be written by others than its owner: make it 0755")
        if not stat.S_ISREG(path.stat().st_mode) or not os.access(path, os.X_OK):
            raise _failed(name, "it is not an executable file")
        return path


def _run(path: Path, environment: Mapping[str, str], request: bytes, seconds: float, stopped: threading.Event) -> bytes:
    deadline = time.monotonic() + seconds
    try:
        with _readable(request) as given:
            process = subprocess.Popen(
                [str(path)],
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
                cwd="/",
                start_new_session=True,
            )
    except OSError as error:
        raise _failed(path.name, f"it cannot be run ({error.strerror})") from None
    with process:
        try:
            return _PluginOutput(process, path.name).collect(deadline, stopped)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _readable(content: bytes) -> IO[bytes]:
    """A file in memory: unlike a pipe it needs no writing while the plug-in runs."""
    file = os.fdopen(os.memfd_create("request"), "wb+")
    file.write(content)
    file.seek(0)
    return file


class _PluginOutput:
    """What a plug-in prints, read until its end, and a moment longer."""

    def __init__(self, process: "subprocess.Popen[bytes]", name: str) -> None:
        self._process = process
        self._name = name
        self._printed = bytearray()
        self._complaints = 0

    def collect(self, deadline: float, stopped: threading.Event) -> bytes:
        """Standard output of a plug-in that ended well. A grandchild may have it open still."""
        with selectors.DefaultSelector() as selector:
            for stream in (self._process.stdout, self._process.stderr):
                selector.register(stream, selectors.EVENT_READ)  # type: ignore[arg-type] # both are pipes
            while self._process.poll() is None:
                if stopped.is_set() or time.monotonic() > deadline:
                    raise _failed(self._name, "Sutler ended it, because it did not end in time")
                self._read(selector)
            drained = time.monotonic() + _DRAIN_SECONDS
            while time.monotonic() < drained and self._read(selector):
                pass
        # What plug-ins write on standard error may be tokens: its length only.
        _log.debug("plug-in ended", plugin=self._name, status=self._process.returncode, stderr_bytes=self._complaints)
        if status := self._process.returncode:
            raise _failed(self._name, f"it ended with status {status} and {self._complaints} bytes on standard error")
        return bytes(self._printed)

    def _read(self, selector: selectors.BaseSelector) -> bool:
        """Whether anything came. Waits a little."""
        if not selector.get_map():
            time.sleep(_POLL_SECONDS)  # it has closed both and still runs
            return False
        ready = selector.select(_POLL_SECONDS)
        for key, _ in ready:
            chunk = os.read(key.fd, 1 << 14)
            if not chunk:
                selector.unregister(key.fileobj)
            elif key.fileobj is self._process.stdout:
                self._printed += chunk
            else:
                self._complaints += len(chunk)
            if len(self._printed) > LARGEST_OUTPUT_BYTES:
                raise _failed(self._name, f"it printed more than {LARGEST_OUTPUT_BYTES} bytes")
        return bool(ready)


def _failed(name: str, why: str) -> TokenError:
    return TokenError(Reason.PLUGIN_FAILED, f"plug-in {name}: {why}")
