"""Takes secrets out of what the API server says about a request that held them. Pure."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

WITHHELD = "(text withheld: it may quote the secret)"

_SHORTEST = 4
"""Characters. Shorter ones stand in any text."""

_HARMLESS = frozenset(("username", "email"))

_quotes_the_body = re.compile(
    r"cannot be handled as|get version/kind|error found in|bigger context|unmarshal|decod|illegal base64", re.IGNORECASE
).search
"""Where the API server could not read what was sent, it quotes a part of that, cut anywhere."""


def redacted(text: str, sent: Any) -> str:
    """Empty where nothing can be told safely."""
    if _quotes_the_body(text):
        return ""
    for secret in sorted(set(_secrets(sent)), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def _secrets(sent: Any, *, inside: bool = False) -> Iterator[str]:
    """What the request held below data, stringData or a review's token, in an object or in a patch."""
    if isinstance(sent, Mapping):
        path = sent.get("path")
        inside = inside or (isinstance(path, str) and path.startswith(("/data", "/stringData")))
        for key, value in sent.items():
            yield from _secrets(value, inside=inside or key in {"data", "stringData", "token"})
    elif isinstance(sent, list):
        for value in sent:
            yield from _secrets(value, inside=inside)
    elif isinstance(sent, str) and inside:
        yield from _forms(sent)


def _forms(text: str) -> Iterator[str]:
    """As it stands, encoded and decoded, and of what is a docker config the credentials."""
    if len(text) < _SHORTEST:
        return
    yield from _written(text)
    yield base64.b64encode(text.encode(errors="replace")).decode()
    try:
        plain = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        plain = ""
    if len(plain) >= _SHORTEST:
        yield from _written(plain)
        for part in plain.split(":", 1)[1:]:
            if len(part) >= _SHORTEST:
                yield from _written(part)
    for document in (plain, text):
        with suppress(ValueError, RecursionError):
            yield from _parts(json.loads(document))


def _written(text: str) -> Iterator[str]:
    """As it stands, and as JSON and Go write it: they escape quotes, line breaks and some letters."""
    yield text
    for escaped in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield escaped
        yield escaped.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _parts(document: Any) -> Iterator[str]:
    """Not the registries, which are keys, nor who logs in."""
    if isinstance(document, Mapping):
        for key, value in document.items():
            if isinstance(value, str) and key.lower() not in _HARMLESS:
                yield from _forms(value)
            else:
                yield from _parts(value)
