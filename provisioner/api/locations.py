"""Paths of what was made, as the Location header says them."""

from urllib.parse import quote, urlencode

from provisioner.api.backend import ImagePlace
from provisioner.api.endpoint import BASE


def pool_path(name: str) -> str:
    return f"{BASE}/pools/{quote(name, safe='')}"


def image_path(place: ImagePlace, name: str, *below: str) -> str:
    parts = [pool_path(place.pool), "images", *(quote(part, safe="") for part in (name, *below))]
    query = f"?{urlencode({'namespace': place.namespace})}" if place.namespace else ""
    return "/".join(parts) + query
