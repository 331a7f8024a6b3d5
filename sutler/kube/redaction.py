"""Removes secrets from the API server's messages about requests that held them. Pure: no I/O."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

WITHHELD = "(text withheld: it may quote the secret)"

_SHORTEST = 4
"""Characters. Shorter secrets occur in any text."""

_HARMLESS = frozenset(("username", "email"))

_quotes_the_body = re.compile(
    r"cannot be handled as|get version/kind|error found in|bigger context|unmarshal|decod|illegal base64", re.IGNORECASE
).search
"""Messages with these words quote a part of the request, cut anywhere."""


def redacted(text: str, sent: Any) -> str:
    """The text without the secrets of the request; empty if no part of it is safe."""
    if _quotes_the_body(text):
        return ""
    for secret in sorted(set(_secrets(sent)), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def _secrets(sent: Any, *, inside: bool = False) -> Iterator[str]:
    """The values below data, stringData or a review's token, in an object or in a patch."""
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
    """A value as it is, encoded and decoded; of a docker config the credentials, too."""
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
    """A value as it is, and as JSON and Go write it: they escape quotes, line breaks and some letters."""
    yield text
    for escaped in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield escaped
        yield escaped.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _parts(document: Any) -> Iterator[str]:
    """The values of a document, without the registries, which are keys, and the user names."""
    if isinstance(document, Mapping):
        for key, value in document.items():
            if isinstance(value, str) and key.lower() not in _HARMLESS:
                yield from _forms(value)
            else:
                yield from _parts(value)
