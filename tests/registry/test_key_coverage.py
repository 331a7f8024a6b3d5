"""Keys and registries in numbers: the answer is that of each with each, the work is not."""

import random
import time
from collections.abc import Callable
from itertools import product

import pytest

from sutler.registry.auth_entry import AuthEntry
from sutler.registry.dockerconfig import DOCKERCONFIGJSON, DockerConfig, usable_entries
from sutler.registry.glob import Glob, overlap
from sutler.registry.key_coverage import RegistryCoverage
from sutler.registry.keyring import Keyring, parse_key
from sutler.registry.missing_credentials import example, missing_text
from sutler.registry.pattern import parse_pattern
from tests.cluster import quickest

MANY = 1000
Name = Callable[[int], str]


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        (lambda n: f"r{n}.long-name.example.com/team-{n}/project", lambda n: f"m{n}.example.org"),
        (lambda n: f"r{n}.example.com", lambda n: f"m{n}.example.com"),
        (lambda n: f"quay.io/a{n}/x", lambda n: f"quay.io/b{n}"),
        (lambda n: f"quay.io/team/a{n}", lambda n: f"quay.io/team/b{n}"),
        (lambda n: f"*a{n}x.example.com", lambda n: f"*b{n}y.example.com"),
        (lambda n: f"a{n}x*.example.com", lambda n: f"b{n}y*.example.com"),
        (lambda n: f"a*{n}*x.example.com", lambda n: f"a*{n}*y.example.com"),
        (lambda n: f"*-{n}.example.com", lambda n: f"m{n}.example.com"),
        (lambda n: f"r{n}.example.com", lambda n: f"*-{n}.example.com"),
        (lambda n: f"r{n}.*.example.com", lambda n: f"m{n}.*.example.com"),
        (lambda n: f"*.r{n}.example.com", lambda n: f"*.m{n}.example.com"),
        (lambda n: f"{n}.dkr.ecr.*.amazonaws.com", lambda n: f"{n + MANY}.dkr.ecr.r{n}.amazonaws.com"),
        (lambda n: f"10.0.{n % 250}.{n // 250}:5000", lambda n: f"10.1.{n % 250}.{n // 250}:5000"),
    ],
)
def test_thousand_keys_and_thousand_registries_take_no_time(key: Name, registry: Name) -> None:
    entries = tuple(AuthEntry(key(n), b"u", b"p") for n in range(MANY))
    registries = [registry(n) for n in range(MANY)]
    config = DockerConfig(DOCKERCONFIGJSON, entries)
    assert usable_entries(config, registries) == ()
    quickest(lambda: usable_entries(config, registries), 0.5, time.process_time)


HOSTS = (
    "quay.io",
    "a.io",
    "*.io",
    "q*.io",
    "*y.io",
    "a.b.io",
    "*.b.io",
    "*.*.io",
    "a?.io",
    "q[a-z]*.io",
    "ab.io",
    "docker.io",
)
PATHS = ("", "", "/acme", "/acme/", "/ac", "/acme/app", "/other")


def test_thousand_globs_that_meet_a_thousand_others_take_no_time() -> None:
    entries = tuple(AuthEntry(f"a*b{n}c*d.example.com", b"u", b"p") for n in range(MANY))
    registries = [f"a*e{n}f*d.example.com" for n in range(MANY)]
    config = DockerConfig(DOCKERCONFIGJSON, entries)
    assert len(usable_entries(config, registries)) == MANY
    quickest(lambda: usable_entries(config, registries), 0.5, time.process_time)


def test_tree_says_what_each_with_each_says() -> None:
    chance = random.Random(7)  # noqa: S311 - no secret

    def texts(count: int, *, slash: bool) -> list[str]:
        found = [chance.choice(HOSTS) + chance.choice(("", "", ":5000")) + chance.choice(PATHS) for _ in range(count)]
        return found if slash else [text.rstrip("/") for text in found]

    for _ in range(300):
        written = texts(chance.randint(1, 6), slash=False)
        patterns = [parse_pattern(text) for text in written if ":" not in text or "[" not in text]
        together, alone = RegistryCoverage(patterns), [RegistryCoverage([pattern]) for pattern in patterns]
        for text in texts(5, slash=True):
            key = parse_key(text)
            assert together.served_by(key) == any(one.served_by(key) for one in alone)
            for pattern in patterns:
                image = example(pattern)
                if image and Keyring([text]).lookup(image.name):
                    assert together.served_by(key), "the kubelet would try it for this image"


@pytest.mark.parametrize(
    ("keys", "registry", "said"),
    [
        (["https://index.docker.io/v1"], "docker.io/acme", "write https://index.docker.io/v1/"),
        (["registry-1.docker.io"], "docker.io", "write docker.io"),
        (["quay.io:443"], "quay.io", "write quay.io"),
        (["GHCR.io"], "ghcr.io/acme", "write ghcr.io"),
        (["ghcr.io/acme/*"], "ghcr.io/acme", "write ghcr.io/acme"),
        (["a.example.com"], "*.example.com:5000", "write a.example.com:5000"),
        ([f"r{n}.example" for n in range(100)], "quay.io", "it has: r0.example, r1.example, r2.example, and 97 more"),
    ],
)
def test_secret_without_the_credential_names_what_nearly_is_one(keys: list[str], registry: str, said: str) -> None:
    config = DockerConfig(DOCKERCONFIGJSON, tuple(AuthEntry(key, b"u", b"p") for key in keys))
    text = missing_text(config, [registry, *(f"m{n}.example" for n in range(200))])
    assert said in text
    assert len(text) < 400


def test_globs_with_stars_only_meet_where_a_name_matches_both() -> None:
    chance = random.Random(3)  # noqa: S311 - no secret
    short = [bytes(name) for length in range(6) for name in product(b"ab", repeat=length)]
    for _ in range(2000):
        one, other = (Glob(bytes(chance.choices(b"ab*", k=chance.randint(1, 5)))) for _ in range(2))
        if overlap(one, other):
            middles = b"".join(glob.text.replace(b"*", b"") for glob in (one, other))
            begin, end = (max(ends, key=len) for ends in ((one.prefix, other.prefix), (one.suffix, other.suffix)))
            names = [begin + middles + end, one.text, other.text]
            assert any(one.matches(name) and other.matches(name) for name in names), (one.text, other.text)
        else:
            assert not any(one.matches(name) and other.matches(name) for name in short), (one.text, other.text)
