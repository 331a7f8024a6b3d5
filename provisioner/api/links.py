"""Cursors of pages, and paths of resources for the Location header.

A cursor is the last name of a page in base64, so that it does not look like the number of a page.
"""

import base64
import binascii
from urllib.parse import quote, urlencode

from provisioner.api.backend import ImagePlace
from provisioner.api.endpoint import BASE
from provisioner.api.problem import ProblemError, invalid_field


def encode_cursor(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).rstrip(b"=").decode()


def decode_cursor(text: str) -> str:
    try:
        name = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise _invalid_cursor() from None
    if "\0" in name:  # NUL ends the text for librados
        raise _invalid_cursor()
    return name


def _invalid_cursor() -> ProblemError:
    return invalid_field("query/cursor", "is not a valid cursor", accepted="next_cursor of the page before, or nothing")


def pool_path(name: str) -> str:
    return f"{BASE}/pools/{quote(name, safe='')}"


def image_path(place: ImagePlace, name: str, *below: str) -> str:
    parts = [pool_path(place.pool), "images", *(quote(part, safe="") for part in (name, *below))]
    query = f"?{urlencode({'namespace': place.namespace})}" if place.namespace else ""
    return "/".join(parts) + query
