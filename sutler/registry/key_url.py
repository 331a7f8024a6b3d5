"""Host and path of a docker config's key, parsed as by the kubelet (Go's url.Parse). Pure: no I/O.

All text is bytes: escapes in a key may decode to any bytes, and the kubelet compares bytes.
"""

import re
from typing import NamedTuple

_HEX = frozenset(b"0123456789abcdefABCDEF")
_ALNUM = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_HOST_ASCII = _ALNUM | frozenset(b"!$&'()*+,;=:[]<>\"-_.~")
_SPACE = 0x20
_ASCII_END = 0x80

_user = re.compile(rb"[A-Za-z0-9._:~!$&'()*+,;=%@-]*").fullmatch
_port = re.compile(rb"(?::[0-9]*)?").fullmatch
_control = re.compile(rb"[\x00-\x1f\x7f]").search
_escape = re.compile(rb"%(..?)?", re.DOTALL)


class NotAUrlError(ValueError):
    """Go's url.Parse rejects the text; the message says why."""


class KeyUrl(NamedTuple):
    host: bytes  # with its port, brackets of an IPv6 address included
    path: bytes  # "" or "/...", escapes decoded

    def split_host(self) -> tuple[bytes, bytes]:
        """Host and port as of Go's net.SplitHostPort; a text that it rejects is all host."""
        host, colon, port = self.host.rpartition(b":")
        if not colon:
            return self.host, b""
        if host.startswith(b"["):
            inner = host[1:-1]
            if not host.endswith(b"]") or b"]" in inner + port or b"[" in inner:
                return self.host, b""
            return inner, port
        if any(character in host for character in (b":", b"[", b"]")):
            return self.host, b""
        return host, port


def locate(text: bytes) -> KeyUrl:
    """Parse a URL without its scheme. User, query and fragment are checked and dropped. Raises NotAUrlError."""
    text, _, fragment = text.partition(b"#")
    _check_escapes(fragment)
    if _control(text):
        raise NotAUrlError("it contains a control character")
    authority, slash, path = text.partition(b"?")[0].partition(b"/")
    user, at, host = authority.rpartition(b"@")
    if at:
        if not _user(user):
            raise NotAUrlError("the part before @ has characters that no URL can have there")
        _check_escapes(user)
    path = slash + path
    _check_escapes(path)
    return KeyUrl(_host(host), _unescape(path))


def _host(text: bytes) -> bytes:
    if not text.startswith(b"["):
        _, colon, port = text.rpartition(b":")
        if colon and not _port(colon + port):
            raise NotAUrlError("the port is not a number")
        return _host_text(text)
    address, bracket, port = text.rpartition(b"]")
    if not bracket:
        raise NotAUrlError("the closing ] is missing")
    if not _port(port):
        raise NotAUrlError("the port is not a number")
    address, zone_mark, zone = address.partition(b"%25")
    if not zone_mark:
        return _host_text(text)
    return _host_text(address) + _zone_text(zone_mark + zone) + _host_text(bracket + port)


def _host_text(text: bytes) -> bytes:
    """Decode a host: only non-ASCII bytes (and %25) may be escaped, and only some characters are allowed."""
    _check_escapes(text)
    for escape in _escape.finditer(text):
        if escape[0] < b"%8" and escape[0] != b"%25":
            raise NotAUrlError("a host can't have escapes of ASCII characters")
    _check_host_characters(text)
    return _unescape(text)


def _zone_text(text: bytes) -> bytes:
    """Decode the zone of an IPv6 address, from its %25 on: escapes may be characters of a host, or spaces."""
    _check_escapes(text)
    for escape in _escape.finditer(text):
        value = int(escape[1], 16)
        if escape[0] != b"%25" and value != _SPACE and value not in _HOST_ASCII:
            raise NotAUrlError("the zone has an escape that is not allowed there")
    _check_host_characters(text)
    return _unescape(text)


def _check_host_characters(text: bytes) -> None:
    if any(byte < _ASCII_END and byte not in _HOST_ASCII for byte in _escape.sub(b"", text)):
        raise NotAUrlError("the host has characters that no host can have")


def _check_escapes(text: bytes) -> None:
    for escape in _escape.finditer(text):
        digits = escape[1] or b""
        if len(digits) != 2 or not _HEX.issuperset(digits):  # noqa: PLR2004 - two digits, as in any percent escape
            raise NotAUrlError("% is not followed by two hexadecimal digits")


def _unescape(text: bytes) -> bytes:
    return _escape.sub(lambda escape: bytes((int(escape[1], 16),)), text)
