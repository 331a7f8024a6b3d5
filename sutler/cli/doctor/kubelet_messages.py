"""What a kubelet's words about an image that it can't get mean. Pure.

Names and addresses are taken out first: an image may be called `denied`, and a tag may be 401.
"""

import re
from dataclasses import dataclass

from sutler.cli.doctor.phrases import REASONS, VAGUE_REASONS, WORDS, PullFailure


def _any_of(words: str) -> re.Pattern[str]:
    lines = (line.strip() for line in words.strip().splitlines())
    return re.compile("|".join(lines).replace(" | ", "|"), re.IGNORECASE)


_patterns = tuple((kind, _any_of(words).search) for kind, words in WORDS)
_quoted = re.compile(r'\\?"[^"\s]*"')
_repository = re.compile(r"\b[\w-]+(\.[\w-]+)+(:\d+)?(/[\w.-]+)+(:[\w.-]+)?(@\S+)?")
_address = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+?(?=[:,;]?(\s|$))", re.IGNORECASE)
_tagged = re.compile(r"\b(manifest for \S+(?= not )|reading manifest \S+(?= in ))")
_digest = re.compile(r"\b(sha256:)?[0-9a-f]{12,64}\b")
_looked_up = re.compile(r"\blookup (?P<host>[A-Za-z0-9.-]+)").search
_asked = re.compile(r"://(?P<host>\[[0-9a-fA-F:]+\](?::\d+)?|[A-Za-z0-9.-]+(?::\d+)?)(?=[/\"\s]|$)").search
_html = re.compile(r"<[a-z!/][^>]*>", re.IGNORECASE)


_LOOKED_AT = 2000
"""Characters at each end of a message. Bodies of answers stand in some, and the patterns are slow on long words."""


@dataclass(frozen=True)
class KubeletMessage:
    kind: PullFailure
    host: str = ""
    """Which host it is about, where the words name one."""


def understood(image: str, reason: str, message: str) -> KubeletMessage:
    """`reason` is the waiting container's, `message` the last words about it."""
    if len(message) > 2 * _LOOKED_AT:
        message = f"{message[:_LOOKED_AT]} … {message[-_LOOKED_AT:]}"
    kind = REASONS.get(reason) or _kind(image, message)
    if kind is PullFailure.UNKNOWN:
        kind = VAGUE_REASONS.get(reason, kind)
    found = _looked_up(message) if kind is PullFailure.DNS else _asked(message)
    return KubeletMessage(kind, found["host"] if found else "")


def _kind(image: str, message: str) -> PullFailure:
    text = _plain(image, message)
    return next((kind for kind, matches in _patterns if matches(text)), PullFailure.UNKNOWN)


def _plain(image: str, message: str) -> str:
    """Without what somebody has named."""
    text = _tagged.sub("manifest", _html.sub(" ", " ".join(message.split())))
    text = _address.sub("URL", _quoted.sub('"…"', text))
    for name in (image, image.partition("@")[0], image.partition("@")[0].rpartition(":")[0]):
        if "/" in name:
            text = text.replace(name, "IMAGE")
    return _digest.sub("DIGEST", _repository.sub("IMAGE", text))
