"""Parses a kubelet's message about an image that it cannot pull. Pure: no I/O.

Names and addresses are removed first: an image may be called `denied`, and a tag may be 401.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sutler.cli.check.pull_failures import PATTERNS, REASONS, VAGUE_REASONS, PullFailure


def _parse_patterns() -> Iterator[tuple[PullFailure, Callable[[str], object]]]:
    kind = PullFailure.UNKNOWN
    for name, alternatives in re.findall(r"^([A-Z_]*) +(.+)$", PATTERNS, re.MULTILINE):
        kind = PullFailure[name] if name else kind
        yield kind, re.compile(alternatives.replace(" | ", "|"), re.IGNORECASE).search


_patterns = tuple(_parse_patterns())
_quoted = re.compile(r'\\?"[^"\s]*"')
_repository = re.compile(r"\b[\w-]+(\.[\w-]+)+(:\d+)?(/[\w.-]+)+(:[\w.-]+)?(@\S+)?")
_address = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+?(?=[:,;]?(\s|$))", re.IGNORECASE)
_tagged = re.compile(r"\b(manifest for \S+(?= not )|reading manifest \S+(?= in ))")
_digest = re.compile(r"\b(sha256:)?[0-9a-f]{12,64}\b")
_lookup = re.compile(r"\blookup (?P<host>[A-Za-z0-9.-]+)").search
_url = re.compile(r"://(?P<host>\[[0-9a-fA-F:]+\](?::\d+)?|[A-Za-z0-9.-]+(?::\d+)?)(?=[/\"\s]|$)").search
_html = re.compile(r"<[a-z!/][^>]*>", re.IGNORECASE)


_MAX_END = 2000
"""Characters parsed at each end of a message. Some quote response bodies, and the patterns are slow on long words."""


@dataclass(frozen=True)
class KubeletMessage:
    """The meaning of a message."""

    kind: PullFailure
    host: str = ""
    """The host that the message is about; empty if it names none."""


def parse_message(image: str, reason: str, message: str) -> KubeletMessage:
    """`reason` is that of the waiting container, `message` the kubelet's latest about its image."""
    if len(message) > 2 * _MAX_END:
        message = f"{message[:_MAX_END]} … {message[-_MAX_END:]}"
    kind = REASONS.get(reason) or _kind(image, message)
    if kind is PullFailure.UNKNOWN:
        kind = VAGUE_REASONS.get(reason, kind)
    found = _lookup(message) if kind is PullFailure.DNS else _url(message)
    return KubeletMessage(kind, found["host"] if found else "")


def _kind(image: str, message: str) -> PullFailure:
    text = _plain(image, message)
    return next((kind for kind, matches in _patterns if matches(text)), PullFailure.UNKNOWN)


def _plain(image: str, message: str) -> str:
    """The message without names and addresses, which users choose."""
    text = _tagged.sub("manifest", _html.sub(" ", " ".join(message.split())))
    text = _address.sub("URL", _quoted.sub('"…"', text))
    for name in (image, image.partition("@")[0], image.partition("@")[0].rpartition(":")[0]):
        if "/" in name:
            text = text.replace(name, "IMAGE")
    return _digest.sub("DIGEST", _repository.sub("IMAGE", text))
