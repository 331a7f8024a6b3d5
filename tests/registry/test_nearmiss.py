import pytest

from sutler.registry import parse_image, parse_pattern
from sutler.registry.nearmiss import key_near_miss, pattern_near_miss


@pytest.mark.parametrize(
    ("key", "image", "advice"),
    [
        ("https://index.docker.io/v1", "nginx", "write https://index.docker.io/v1/"),
        ("index.docker.io/acme", "acme/app", "write docker.io/acme"),
        ("registry.hub.docker.com", "nginx", "matched as docker.io"),
        ("reg.example.com:443", "reg.example.com/app", "the image has none, this 443"),
        ("reg.example.com", "reg.example.com:443/app", "the image has 443, this none"),
        ("reg.example.com:5000", "reg.example.com:5001/app", "it is for port 5000, the image has 5001"),
        ("GHCR.io", "ghcr.io/acme/app", "GHCR.io is not ghcr.io: write both in lower case"),
        ("*.azurecr.io", "azurecr.io/app", "is for 3 parts, azurecr.io has 2"),
        ("ghcr.io/acme/app/", "ghcr.io/acme/app:1", "leave that out"),
        ("ghcr.io/acme/app:1.0", "ghcr.io/acme/app:1.0", "tags and digests don't count"),
        ("ghcr.io/acme/*", "ghcr.io/acme/app", "end the path before the glob"),
        ("https://reg.example.com/v2", "reg.example.com/team/app", "write /v2/"),
        ("quay.io/other", "quay.io/acme/app", "start with other, this is acme/app"),
        ("quay.io:port", "quay.io/acme/app", "the kubelet ignores it"),
    ],
)
def test_key_that_almost_matches_is_explained(key: str, image: str, advice: str) -> None:
    assert advice in (key_near_miss(key, parse_image(image)) or "")


@pytest.mark.parametrize(
    ("key", "image"),
    [
        ("quay.io", "quay.io/acme/app"),
        ("docker.io", "nginx"),
        ("https://index.docker.io/v1/", "nginx"),
        ("ghcr.io", "quay.io/acme/app"),
        ("*.example.com", "quay.io/acme/app"),
        ("a b", "quay.io/acme/app"),
        ("ghcr.io/*", "quay.io/acme/app"),
    ],
)
def test_key_that_matches_or_has_nothing_to_do_with_the_image_is_not(key: str, image: str) -> None:
    assert key_near_miss(key, parse_image(image)) is None


@pytest.mark.parametrize(
    ("pattern", "image", "advice"),
    [
        ("quay.io/acme", "quay.io/acmecorp/app", "for acme and what is below it, the image is acmecorp/app"),
        ("quay.io:443", "quay.io/acme", "the image has none, this 443"),
        ("*.example.com", "a.b.example.com/x", "is for 3 parts, a.b.example.com has 4"),
        ("ghcr.io", "GHCR.io/acme/app", "ghcr.io is not GHCR.io: write both in lower case"),
    ],
)
def test_registry_that_almost_matches_is_explained(pattern: str, image: str, advice: str) -> None:
    assert advice in (pattern_near_miss(parse_pattern(pattern), parse_image(image)) or "")


@pytest.mark.parametrize(("pattern", "image"), [("quay.io", "quay.io/acme"), ("ghcr.io", "quay.io/acme")])
def test_registry_that_matches_or_has_nothing_to_do_with_the_image_is_not(pattern: str, image: str) -> None:
    assert pattern_near_miss(parse_pattern(pattern), parse_image(image)) is None
