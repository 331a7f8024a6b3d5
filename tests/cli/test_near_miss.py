"""Near misses and order, as tables. The rules themselves are tested with the keyring and the patterns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sutler.registry.explain import near_miss_of_key, near_miss_of_registry, registry_matches, tries
from sutler.registry.image import parse_image
from sutler.registry.keyring import Keyring
from sutler.registry.pattern import parse_pattern


@pytest.mark.parametrize(
    ("key", "image", "write", "why"),
    [
        ("ghcr.io/acme/app/", "ghcr.io/acme/app", "ghcr.io/acme/app", "slash"),
        ("GHCR.io", "ghcr.io/acme/app", "ghcr.io", "lower case"),
        ("reg.example.com:443", "reg.example.com/app", "reg.example.com", ":443"),
        ("reg.example.com", "reg.example.com:443/app", "reg.example.com:443", ":443"),
        ("reg.example.com", "reg.example.com:5000/app", "reg.example.com:5000", "port 5000"),
        ("reg.example.com:5000", "reg.example.com/app", "reg.example.com", "no port"),
        ("index.docker.io/acme", "acme/app", "docker.io/acme", "docker.io"),
        ("registry.hub.docker.com", "nginx", "docker.io", "docker.io"),
        ("https://index.docker.io/v1", "nginx", "https://index.docker.io/v1/", "slash"),
        ("https://reg.example.com/v2", "reg.example.com/team/app", "https://reg.example.com/v2/", "slash"),
        ("docker.io/nginx", "nginx", "docker.io/library/nginx", "library"),
        ("ghcr.io/acme/*", "ghcr.io/acme/app", "ghcr.io/acme", "globs"),
        ("ghcr.io/acme/app:1.0", "ghcr.io/acme/app:1.0", "ghcr.io/acme/app", "tag or digest"),
        ("ghcr.io/acme/app@sha256:00", "ghcr.io/acme/app", "ghcr.io/acme/app", "tag or digest"),
        ("quay.io/Acme", "quay.io/acme/app", "quay.io/acme", "lower case"),
        ("*.example.com", "example.com/app", "example.com", "exactly one part"),
        ("*.example.com", "a.b.example.com/app", "*.*.example.com", "exactly one part"),
        ("docker://quay.io", "quay.io/app", "quay.io", "docker://"),
        (" quay.io", "quay.io/app", "quay.io", "white space"),
        ("HTTPS://GHCR.io:443/acme/", "ghcr.io/acme", "ghcr.io/acme", "HTTPS://"),
        ("reg.example.com:5000", "reg.example.com:5001/app", "reg.example.com:5001", "port 5001"),
        ("*.azurecr.io", "azurecr.io/app", "azurecr.io", "exactly one part"),
        ("quay.io:port", "quay.io/acme/app", "quay.io", "no port"),
    ],
)
def test_key_that_nearly_matches_is_corrected(key: str, image: str, write: str, why: str) -> None:
    parsed = parse_image(image)
    assert not Keyring([key]).lookup(image), "the example is none"
    miss = near_miss_of_key(key, parsed)
    assert miss is not None
    assert (miss.write, miss.elsewhere) == (write, False)
    assert why in miss.why
    assert Keyring([miss.write]).lookup(image) == [miss.write]


@pytest.mark.parametrize(
    ("key", "image", "write"),
    [
        ("ghcr.io/acme/other", "ghcr.io/acme/app", "ghcr.io/acme"),
        ("quay.io/b", "quay.io/a", ""),
        ("quay.io/other", "quay.io/acme/app", ""),
        ("quay.io/acme/app/sub", "quay.io/acme/app", "quay.io/acme/app"),
    ],
)
def test_key_for_a_sibling_path_is_called_so(key: str, image: str, write: str) -> None:
    miss = near_miss_of_key(key, parse_image(image))
    assert miss is not None
    assert miss.elsewhere
    assert "another path" in miss.why
    assert miss.write == write


@pytest.mark.parametrize(
    ("key", "image"),
    [
        ("foo.example.com", "bar.example.com/app"),
        ("quay.io", "quay.io/acme/app"),
        ("https://index.docker.io/v1/", "nginx"),
        ("", "nginx"),
        ("%zz", "nginx"),
        ("docker.io", "nginx"),
        ("ghcr.io", "quay.io/acme/app"),
        ("*.example.com", "quay.io/acme/app"),
        ("a b", "quay.io/acme/app"),
        ("ghcr.io/*", "quay.io/acme/app"),
    ],
)
def test_key_that_matches_or_is_far_off_is_no_near_miss(key: str, image: str) -> None:
    assert near_miss_of_key(key, parse_image(image)) is None


@pytest.mark.parametrize(
    ("registry", "image", "why"),
    [
        ("quay.io/acme", "quay.io/acmecorp/app", "another path of the registry, not quay.io/acmecorp"),
        ("quay.io:443", "quay.io/acme", "no port and :443"),
        ("*.example.com", "a.b.example.com/x", "exactly one part"),
        ("ghcr.io", "GHCR.io/acme/app", "write ghcr.io, not GHCR.io"),
    ],
)
def test_registry_that_nearly_matches_says_why(registry: str, image: str, why: str) -> None:
    miss = near_miss_of_registry(registry, parse_image(image))
    assert miss is not None
    assert why in miss.why


@pytest.mark.parametrize(("registry", "image"), [("quay.io", "quay.io/acme"), ("ghcr.io", "quay.io/acme")])
def test_registry_that_matches_or_is_far_off_is_no_near_miss(registry: str, image: str) -> None:
    assert near_miss_of_registry(registry, parse_image(image)) is None


def test_image_in_upper_case_is_reported() -> None:
    miss = near_miss_of_key("ghcr.io", parse_image("GHCR.io/acme/app"))
    assert miss is not None
    assert "write ghcr.io, not GHCR.io, in the image" in miss.why


@pytest.mark.parametrize(
    ("registry", "image", "write", "elsewhere"),
    [
        ("quay.io/acme", "quay.io/acmecorp/app", "", True),
        ("quay.io/acme/other", "quay.io/acme/app", "quay.io/acme", True),
        ("GHCR.io", "ghcr.io/app", "ghcr.io", False),
        ("https://quay.io/acme", "quay.io/acme/app", "quay.io/acme", False),
        ("index.docker.io/acme", "acme/app", "docker.io/acme", False),
        ("quay.io/acme/*", "quay.io/acme/app", "quay.io/acme", False),
        ("reg.example.com:443", "reg.example.com/app", "reg.example.com", False),
        ("docker.io/nginx", "nginx", "docker.io/library/nginx", False),
    ],
)
def test_registry_that_nearly_matches_is_corrected(registry: str, image: str, write: str, elsewhere: bool) -> None:
    parsed = parse_image(image)
    miss = near_miss_of_registry(registry, parsed)
    assert miss is not None
    assert (miss.write, miss.elsewhere) == (write, elsewhere)
    assert not write or parse_pattern(write).matches(parsed)


_host = st.sampled_from(["quay.io", "GHCR.io", "docker.io", "index.docker.io", "*.example.com", "a.example.com", "é"])
_port = st.sampled_from(["", ":443", ":5000", ":x"])
_path = st.sampled_from(["", "/", "/acme", "/acme/", "/Acme/*", "/v1", "/v2/", "/acme/app:1", "//", "/acme?x#y"])
_scheme = st.sampled_from(["", "https://", "HTTP://", "docker://", " "])
_image = st.sampled_from(
    ["nginx", "acme/app", "quay.io/acme/app", "a.example.com:443/v2/x", "localhost/app", "b.a.example.com/acme"]
)


@given(st.tuples(_scheme, _host, _port, _path).map("".join), _image)
def test_advice_always_works(text: str, image: str) -> None:
    """Advice always matches, and what matches gets no advice."""
    parsed = parse_image(image)
    of_key, of_registry = near_miss_of_key(text, parsed), near_miss_of_registry(text, parsed)
    if of_key:
        assert not Keyring([text]).lookup(image)
        assert not of_key.write or Keyring([of_key.write]).lookup(image)
    if of_registry:
        assert not registry_matches(text, parsed)
        assert not of_registry.write or registry_matches(of_registry.write, parsed)


def test_tries_follow_the_kubelet_and_then_the_order_of_the_secrets() -> None:
    secrets = [
        ("first", ["quay.io", "https://index.docker.io/v1/"]),
        ("second", ["quay.io/acme", "quay.io"]),
        ("third", ["ghcr.io"]),
    ]
    found = tries(parse_image("quay.io/acme/app"), secrets)
    assert [(each.key, each.secret) for each in found] == [
        ("quay.io/acme", "second"),
        ("quay.io", "first"),
        ("quay.io", "second"),
    ]


def test_docker_hubs_own_key_is_tried_only_when_no_other_matches() -> None:
    hub = "https://index.docker.io/v1/"
    alone = tries(parse_image("nginx"), [("a", [hub, "quay.io"])])
    assert [(each.key, each.fallback) for each in alone] == [(hub, True)]
    beside = tries(parse_image("nginx"), [("a", [hub, "docker.io"])])
    assert [each.key for each in beside] == ["docker.io"]


def test_key_that_matches_beyond_its_path_is_noted() -> None:
    """kubernetes#102472: keys are prefixes as plain text."""
    beyond, within = (
        tries(parse_image(image), [("a", ["quay.io/acme"])]) for image in ("quay.io/acmecorp/x", "quay.io/acme/x")
    )
    assert "quay.io/acme/ matches up to the slash only" in beyond[0].note
    assert within[0].note == ""
