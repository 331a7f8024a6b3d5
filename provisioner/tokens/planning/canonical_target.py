"""Path and query of a URL in the form that AWS and Alibaba Cloud sign. Pure: no I/O."""

from urllib.parse import parse_qsl, quote, urlsplit

_UNRESERVED = "-_.~"


def canonical_target(url: str) -> tuple[str, str]:
    """The path as it is on the wire, escaped once more as all services but S3 expect, and the sorted query."""
    parts = urlsplit(url)
    query = sorted(
        (quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED))
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    return quote(parts.path or "/", safe=f"/{_UNRESERVED}"), "&".join(f"{name}={value}" for name, value in query)
