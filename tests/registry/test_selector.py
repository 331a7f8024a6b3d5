from typing import Any

import pytest

from sutler.registry.selector import LabelSelector, SelectorError

LABELS = {"team": "blue", "env": "prod", "empty": ""}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({}, True),
        ({"matchLabels": None, "matchExpressions": None}, True),
        ({"matchLabels": {"team": "blue"}}, True),
        ({"matchLabels": {"team": "blue", "env": "test"}}, False),
        ({"matchLabels": {"absent": ""}}, False),
        ({"matchLabels": {"empty": ""}}, True),
        ({"matchExpressions": [{"key": "team", "operator": "In", "values": ["red", "blue"]}]}, True),
        ({"matchExpressions": [{"key": "team", "operator": "In", "values": ["red"]}]}, False),
        ({"matchExpressions": [{"key": "absent", "operator": "In", "values": ["red"]}]}, False),
        ({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["blue"]}]}, False),
        ({"matchExpressions": [{"key": "absent", "operator": "NotIn", "values": ["blue"]}]}, True),
        ({"matchExpressions": [{"key": "team", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "absent", "operator": "Exists", "values": []}]}, False),
        ({"matchExpressions": [{"key": "absent", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}, False),
        (
            {
                "matchLabels": {"team": "blue"},
                "matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["prod"]}],
            },
            False,
        ),
    ],
)
def test_selector_matches_as_the_api_server_does(selector: dict[str, Any], matches: bool) -> None:
    assert LabelSelector.parse(selector).matches(LABELS) is matches


@pytest.mark.parametrize(
    ("selector", "problem"),
    [
        (None, "is an object"),
        ([], "is an object"),
        ({"matchLabel": {}}, "'matchLabel' is no field"),
        ({"matchLabels": []}, "matchLabels is an object"),
        ({"matchLabels": {"team": 1}}, "no label value"),
        ({"matchLabels": {"-team": "x"}}, "no label key"),
        ({"matchLabels": {"team": "x" * 64}}, "no label value"),
        ({"matchExpressions": {}}, "matchExpressions is a list"),
        ({"matchExpressions": ["x"]}, "matchExpressions[0] is an object"),
        ({"matchExpressions": [{"key": "a", "operator": "Equals"}]}, "one of In, NotIn, Exists, DoesNotExist"),
        ({"matchExpressions": [{"key": "a", "operator": "In"}]}, "at least one value"),
        ({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]}, "no values"),
        ({"matchExpressions": [{"operator": "Exists"}]}, "no label key"),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": "x"}]}, "is a list of label values"),
    ],
)
def test_selector_that_the_api_server_refuses_is_an_error(selector: Any, problem: str) -> None:
    with pytest.raises(SelectorError) as error:
        LabelSelector.parse(selector)
    assert problem in str(error.value)


def test_selector_error_lists_all_problems() -> None:
    with pytest.raises(SelectorError) as error:
        LabelSelector.parse({"matchLabels": {"-a": "-b"}, "matchExpressions": [{"key": "k", "operator": "x"}]})
    assert len(error.value.problems) == 3
