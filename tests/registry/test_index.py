import sys
import tracemalloc
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sutler.registry.image import parse_image
from sutler.registry.index import MappingIndex
from sutler.registry.mapping import Mapping
from sutler.registry.pattern import PatternError, parse_pattern
from sutler.registry.selector import LabelSelector


def mapping(name: str, *registries: str) -> Mapping:
    return Mapping(name, registries, f"{name}-secret", LabelSelector())


def names(index: MappingIndex, image: str) -> list[str]:
    return [found.name for found in index.lookup(parse_image(image))]


def test_index_gives_the_most_specific_mapping_first_then_by_name() -> None:
    index = MappingIndex(
        [
            mapping("z-host", "quay.io"),
            mapping("glob", "*.io"),
            mapping("deep", "quay.io/acme/app"),
            mapping("a-host", "quay.io"),
            mapping("org", "quay.io/acme"),
            mapping("other", "quay.io/other"),
        ]
    )
    assert names(index, "quay.io/acme/app:1") == ["deep", "org", "a-host", "z-host", "glob"]
    assert names(index, "quay.io/acme/application") == ["org", "a-host", "z-host", "glob"]
    assert names(index, "gcr.io/acme/app") == ["glob"]
    assert names(index, "nginx") == ["glob"]  # docker.io
    assert names(index, "quay.com/acme/app") == []


def test_index_names_a_mapping_once_however_many_of_its_registries_match() -> None:
    index = MappingIndex([mapping("one", "quay.io", "*.io", "quay.io/acme"), mapping("two", "quay.io")])
    assert names(index, "quay.io/acme/app") == ["one", "two"]


GLOBS = ("*.io", "q*.io", "*y.io", "q*y.io", "q?ay.io", "q[s-v]ay.io", "*.b.io", "a.*.io", "*a.*b.io", "m*.lan")
PATTERNS = st.builds(
    "{}{}{}".format,
    st.sampled_from((*GLOBS, "quay.io", "a.b.io", "localhost", "my_host.lan", "docker.io")),
    st.sampled_from(("", "", ":5000")),
    st.sampled_from(("", "", "/acme", "/acme/app", "/a")),
)
IMAGES = st.builds(
    "{}{}/{}".format,
    st.sampled_from(("quay.io", "qy.io", "y.io", "a.b.io", "aa.bb.io", "localhost", "my_host.lan", "docker.io")),
    st.sampled_from(("", "", ":5000")),
    st.sampled_from(("acme", "acme/app", "acme/app/x", "acmecorp", "a", "a/acme")),
)


@given(st.lists(PATTERNS, max_size=12), st.lists(IMAGES, max_size=6))
def test_index_finds_exactly_what_the_patterns_match(patterns: list[str], images: list[str]) -> None:
    patterns = [pattern for pattern in patterns if not ("[" in pattern and ":" in pattern)]
    mappings = [mapping(f"m{position:02}", pattern) for position, pattern in enumerate(patterns)]
    index, other = MappingIndex(mappings), MappingIndex(reversed(mappings))
    for image in images:
        if image.startswith("my_host.lan:"):
            continue  # no image: a port makes the host a domain, and domains have no underscore
        found = names(index, image)
        expected = {each.name for each in mappings if parse_pattern(each.registries[0]).matches(parse_image(image))}
        assert set(found) == expected
        assert len(found) == len(expected)
        assert names(other, image) == found


def test_index_remembers_a_host_for_all_its_paths_and_not_for_ever_so_many() -> None:
    index = MappingIndex([mapping("acme", "*.io/acme"), mapping("all", "quay.io")])
    assert names(index, "quay.io/acme/app") == ["acme", "all"]
    assert names(index, "quay.io/other/app") == ["all"]
    assert names(index, "gcr.io/acme/app") == ["acme"]
    tracemalloc.start()
    try:
        for number in range(34_000):
            assert not names(index, f"{'x' * 180}-{number}.example.com/app")
        assert tracemalloc.get_traced_memory()[0] < 5 << 20
    finally:
        tracemalloc.stop()
    assert names(index, "quay.io/acme/app") == ["acme", "all"]


def calls(index: MappingIndex, image: str) -> int:
    """How many functions a look-up calls: its cost, without a clock."""
    parsed = parse_image(image)
    count = 0

    def profile(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(profile)
    try:
        index.lookup(parsed)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    ("template", "image"),
    [
        ("registry-{}.example.com", "registry-1.example.com/acme/app"),
        ("quay.io/team-{}", "quay.io/team-1/app"),
        ("*.team-{}.example.com", "reg.team-1.example.com/acme/app"),
        ("reg.*.team-{}.example.com", "reg.eu.team-1.example.com/acme/app"),
        ("*-{}.example.com", "reg-1.example.com/acme/app"),
        ("reg-{}-*.example.com", "reg-1-eu.example.com/acme/app"),
        ("reg-*-{}.example.com", "reg-eu-1.example.com/acme/app"),
        ("reg[0-9]-{}.example.com", "reg3-1.example.com/acme/app"),
        ("*.example.com:{}", "reg.example.com:1/acme/app"),
    ],
)
def test_index_costs_the_same_however_many_mappings_there_are(template: str, image: str) -> None:
    # Numbers of one length only: each length of a glob's fixed part is one more look-up, 63 at most.
    few = MappingIndex(mapping(f"m{n}", template.format(n)) for n in range(1, 4))
    many = MappingIndex(mapping(f"m{n}", template.format(n)) for n in (*range(1, 4), *range(10_000, 12_000)))
    # For a host that is new to them, and for one that they know.
    for _ in range(2):
        assert calls(many, image) <= 2 * calls(few, image) + 2
    assert names(few, image) == names(many, image) == ["m1"]


def test_index_refuses_what_no_mapping_can_hold() -> None:
    with pytest.raises(PatternError):
        mapping("bad", "https://quay.io")
