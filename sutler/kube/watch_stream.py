"""What comes out of a watch: lines of any length, each an event, and no longer waited for than makes sense."""

import asyncio
from dataclasses import dataclass

import aiohttp
import msgspec

from sutler.kube.errors import KubeError, Status, status_error
from sutler.typedefs import Json


class StreamBroken(KubeError):  # noqa: N818 - named after what happened
    """What came can't be trusted or has a gap: list again."""


class WatchStalled(KubeError):  # noqa: N818 - the same
    """Nothing came for longer than the API server is ever silent: the connection may be dead without our knowing."""


@dataclass(frozen=True)
class WatchEvent:
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK; a bookmark's object has no name."""

    type: str
    object: Json


def key_of(obj: Json) -> str:
    """The object's "namespace/name", or its name when it has no namespace."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def version_of(obj: Json) -> str:
    version: str = obj["metadata"].get("resourceVersion", "")
    return version


async def read(reader: aiohttp.StreamReader, silence: float) -> bytes:
    """The next bytes, none at the end.

    Raises:
        Silent: when nothing came for `silence` seconds.
    """
    try:
        async with asyncio.timeout(silence):
            return await reader.readany()
    except TimeoutError as error:
        raise WatchStalled(f"nothing came for {silence:g} s") from error


class WatchLines:
    """Puts chunks together into whole lines. What has no line end yet was perhaps cut off; the next watch brings it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        first, *others = chunk.split(b"\n")
        self._pieces.append(first)
        if not others:
            return []
        lines = [b"".join(self._pieces), *others[:-1]]
        self._pieces = [others[-1]]
        return lines


def decode(line: bytes) -> WatchEvent:
    """The event in a line.

    Raises:
        StreamBroken: when there is none in it, or the API server's error.
    """
    try:
        event = msgspec.json.decode(line, type=WatchEvent)
        if event.type == "ERROR":
            error = status_error(msgspec.convert(event.object, Status), call="WATCH")
            raise StreamBroken(str(error)) from error
        if event.type != "BOOKMARK":
            key_of(event.object)
        version_of(event.object)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        # Their texts say where, not what.
        raise StreamBroken(f"a line of {len(line)} bytes is no event") from error
    return event
