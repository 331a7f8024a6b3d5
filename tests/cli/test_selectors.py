"""Selectors as they are typed, and names that are made up. Pure."""

import pytest

from sutler.commands.registry.selectors import parse_selector, show_selector
from sutler.commands.registry.servers import UnusableServerError, default_name, server_of_key
from sutler.output import UsageError


@pytest.mark.parametrize(
    ("text", "selector", "shown"),
    [
        ("", {}, "every namespace"),
        ("team=a", {"matchLabels": {"team": "a"}}, "team=a"),
        ("team==a , stage = b", {"matchLabels": {"team": "a", "stage": "b"}}, "team=a,stage=b"),
        ("team=", {"matchLabels": {"team": ""}}, "team="),
        ("team", {"matchExpressions": [{"key": "team", "operator": "Exists"}]}, "team"),
        ("! team", {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}, "!team"),
        ("team!=a", {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]}, "team notin (a)"),
        (
            "kubernetes.io/metadata.name in (a, b),x notin (y)",
            {
                "matchExpressions": [
                    {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a", "b"]},
                    {"key": "x", "operator": "NotIn", "values": ["y"]},
                ]
            },
            "kubernetes.io/metadata.name in (a,b),x notin (y)",
        ),
        (
            "a=1,a=2",
            {"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["2"]}]},
            "a=1,a in (2)",
        ),
    ],
)
def test_selector_is_read_and_shown(text: str, selector: dict[str, object], shown: str) -> None:
    assert parse_selector(text) == selector
    assert show_selector(selector) == shown
    assert show_selector(parse_selector(shown if selector else "")) == shown


@pytest.mark.parametrize("text", [",", "team=a,", "team in a", "a b", "=x", "team=a=b", "-x=y", "a in (b", "!"])
def test_selector_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--namespaces"):
        parse_selector(text)


@pytest.mark.parametrize(
    ("key", "server", "noted"),
    [
        ("https://index.docker.io/v1/", "docker.io", False),
        ("index.docker.io/acme", "docker.io/acme", True),
        ("https://quay.io/acme/", "quay.io/acme", False),
        ("https://reg.example.com/v2/team", "reg.example.com/team", False),
        ("GHCR.io", "ghcr.io", True),
        ("*.example.com:5000", "*.example.com:5000", False),
        ("registry.cn-hangzhou.aliyuncs.com/xxxx", "registry.cn-hangzhou.aliyuncs.com/xxxx", False),
    ],
)
def test_key_becomes_a_registry(key: str, server: str, noted: bool) -> None:
    found = server_of_key(key)
    assert (found.text, bool(found.note)) == (server, noted)


@pytest.mark.parametrize("key", ["", "quay.io/acme/*", "quay.io:x", "acme", "%zz", "quay.io/a:1"])
def test_key_that_no_mapping_can_be_for_is_refused(key: str) -> None:
    with pytest.raises(UnusableServerError):
        server_of_key(key)


def test_names_are_short_and_distinct() -> None:
    assert default_name("*.dkr.ecr.*.amazonaws.com") == "dkr-ecr-amazonaws-com"
    long, longer = default_name("a" * 70 + ".com"), default_name("a" * 71 + ".com")
    assert len(long) == len(longer) == 63
    assert long != longer
