"""Where a page ends: the last name on it, wrapped so that nobody takes it for a number of a page."""

import base64
import binascii

from provisioner.api.problem import ProblemError, invalid


def after(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).rstrip(b"=").decode()


def read(text: str) -> str:
    try:
        name = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise _broken() from None
    if "\0" in name:  # ends the text for librados
        raise _broken()
    return name


def _broken() -> ProblemError:
    return invalid("query/cursor", "is none of ours", accepted="next_cursor of the page before, or nothing")
