"""Which proxy a request goes through, by the usual variables; addresses of a node's own go through none. Pure."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

_METADATA_NAMES = frozenset(("localhost", "metadata.google.internal", "metadata"))
_METADATA_ADDRESSES = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "fd00:ec2::23", "fd00:ec2::254")))


def is_metadata(host: str) -> bool:
    """Whether it is on the node itself or the cloud's metadata: a proxy would answer for another machine."""
    name = host.lower().rstrip(".")
    if name in _METADATA_NAMES:
        return True
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return address.is_link_local or address.is_loopback or address in _METADATA_ADDRESSES


def proxy_of(url: str, environment: Mapping[str, str]) -> str | None:
    """The proxy's URL; None for none. HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in either case."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_metadata(host):
        return None
    lower = {name.lower(): value for name, value in environment.items() if value}
    if any(_is_excepted(host, each.strip()) for each in lower.get("no_proxy", "").split(",")):
        return None
    return lower.get(f"{parts.scheme}_proxy") or lower.get("all_proxy")


def _is_excepted(host: str, exception: str) -> bool:
    """`exception` is a domain with all below it, an address, a network such as 10.0.0.0/8, or *."""
    exception = exception.lower().removeprefix(".")
    if exception in {"*", host.lower()}:
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(exception, strict=False)
    except ValueError:
        return bool(exception) and host.lower().endswith(f".{exception}")
