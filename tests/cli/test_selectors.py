"""Label selectors as typed, and names of mappings. Pure: no I/O."""

import re

import pytest

from sutler.cli.exit_codes import UsageError
from sutler.cli.registry.registry_names import default_name, distinct_name
from sutler.cli.registry.selectors import parse_selector, render_selector, why_none


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
def test_selector_is_parsed_and_rendered(text: str, selector: dict[str, object], shown: str) -> None:
    assert parse_selector(text) == selector
    assert render_selector(selector) == shown
    assert render_selector(parse_selector(shown if selector else "")) == shown


@pytest.mark.parametrize("text", [",", "team=a,", "team in a", "a b", "=x", "team=a=b", "-x=y", "a in (b", "!"])
def test_invalid_selector_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--namespaces"):
        parse_selector(text)


def test_names_are_short_and_distinct() -> None:
    assert default_name("*.dkr.ecr.*.amazonaws.com") == "dkr-ecr-amazonaws-com"
    long, longer = default_name("a" * 70 + ".com"), default_name("a" * 71 + ".com")
    assert len(long) == len(longer) == 63
    assert long != longer


@pytest.mark.parametrize(
    "servers",
    [
        ("quay.io/acme/app", "quay.io/acme-app", "quay.io.acme/app"),
        ("registry:5000", "registry-5000.io"),
        ("*.example.com", "example.com"),
        ("*.*", "?.?"),
        ("[::1]:5000", "1-5000"),
    ],
)
def test_similar_registries_get_distinct_names(servers: tuple[str, ...]) -> None:
    names = {name for server in servers for name in (default_name(server), distinct_name(server))}
    assert len({distinct_name(server) for server in servers}) == len(servers)
    assert all(re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) and len(name) <= 63 for name in names)


@pytest.mark.parametrize(
    ("selector", "namespaces", "said"),
    [
        ("team=a", {"x": {}}, "kubectl label namespace NAME KEY=VALUE"),
        ("kubernetes.io/metadata.name in (x,gone)", {"x": {}}, "label namespace x kubernetes.io/metadata.name=x"),
        ("kubernetes.io/metadata.name=x", {"x": {}, "y": {}}, "label namespace x kubernetes.io/metadata.name=x"),
        ("kubernetes.io/metadata.name in (gone,away)", {"x": {}}, "Namespace away, gone does not exist yet"),
        (
            "team=a,kubernetes.io/metadata.name=x",
            {"x": {"kubernetes.io/metadata.name": "x"}},
            "No namespace has all of these labels",
        ),
    ],
)
def test_selector_that_selects_nothing_says_what_would(
    selector: str, namespaces: dict[str, dict[str, str]], said: str
) -> None:
    assert said in why_none(parse_selector(selector), namespaces)
