from typing import Any

import pytest

from sutler.registry.mapping import MappingError, Mode, parse_mapping


def resource(**spec: Any) -> dict[str, Any]:
    whole = {
        "registries": ["registry.cn-hangzhou.aliyuncs.com/xxxx"],
        "pullSecret": {"name": "aliyun-hangzhou", "copyFrom": "aliyun-credentials"},
        "namespaceSelector": {},
    }
    metadata = {"name": "aliyun", "generation": 3, "uid": "u-1"}
    return {"metadata": metadata, "spec": {key: value for key, value in (whole | spec).items() if value != "absent"}}


def test_mapping_is_read() -> None:
    mapping = parse_mapping(resource(mode="Observe"))
    assert (mapping.name, mapping.secret, mapping.copy_from) == ("aliyun", "aliyun-hangzhou", "aliyun-credentials")
    assert (mapping.mode, mapping.generation, mapping.uid) == (Mode.OBSERVE, 3, "u-1")
    assert mapping.registries == ("registry.cn-hangzhou.aliyuncs.com/xxxx",)
    assert [pattern.path for pattern in mapping.patterns] == ["xxxx"]
    assert mapping.selector.matches({"any": "thing"})


def test_mapping_injects_unless_it_says_otherwise() -> None:
    assert parse_mapping(resource()).mode is Mode.INJECT


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"registries": "absent"}, "spec.registries must list"),
        ({"registries": []}, "spec.registries must list"),
        ({"registries": "quay.io"}, "spec.registries must list"),
        ({"registries": ["quay.io", "https://ghcr.io"]}, "spec.registries[1]: registry 'https://ghcr.io'"),
        ({"registries": [7]}, "spec.registries[0]"),
        ({"pullSecret": "absent"}, "spec.pullSecret.name is missing"),
        ({"pullSecret": {}}, "spec.pullSecret.name"),
        ({"pullSecret": {"name": "Bad_Name"}}, "'Bad_Name' is no name of a Secret"),
        ({"pullSecret": {"name": "a", "copyFrom": "other/secret"}}, "spec.pullSecret.copyFrom"),
        ({"namespaceSelector": "absent"}, "no implicit everywhere"),
        ({"namespaceSelector": None}, "no implicit everywhere"),
        ({"namespaceSelector": {"matchLabels": {"-": ""}}}, "spec.namespaceSelector: matchLabels"),
        ({"mode": "Dry"}, "spec.mode is Inject or Observe"),
    ],
)
def test_mapping_that_cannot_be_used_says_which_field_is_wrong(spec: dict[str, Any], problem: str) -> None:
    with pytest.raises(MappingError) as error:
        parse_mapping(resource(**spec))
    assert problem in str(error.value)
    assert "mapping aliyun" in str(error.value)


def test_mapping_error_lists_all_problems() -> None:
    with pytest.raises(MappingError) as error:
        parse_mapping(resource(registries=["*"], pullSecret={"name": ""}, namespaceSelector=None, mode="x"))
    assert len(error.value.problems) == 4


def test_mapping_without_a_spec_or_with_a_name_too_long_for_a_label_is_an_error() -> None:
    with pytest.raises(MappingError, match="spec is missing"):
        parse_mapping({"metadata": {"name": "x"}})
    with pytest.raises(MappingError, match="at most 63"):
        parse_mapping(resource() | {"metadata": {"name": "x" * 64}})
