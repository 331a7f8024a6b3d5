"""The state of an operation of another process follows from its identifier and the image."""

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.api.operations import OperationTarget, judge_by_image, parse_identifier
from provisioner.api.schemas.operations import OperationState
from provisioner.ceph.image_header import ImageHeader
from sutler import well_known
from tests.ceph import headers

WHOLE = replace(headers.WHOLE, id="1")
CLONE = replace(WHOLE, is_clone=True)


def marked(work: str, identifier: str = "this") -> ImageHeader:
    return replace(WHOLE, metadata=MappingProxyType({well_known.UNFINISHED: f"{work} {identifier}"}))


@pytest.mark.parametrize(
    ("kind", "header", "state"),
    [
        ("remove", None, OperationState.SUCCEEDED),
        ("purge", None, OperationState.SUCCEEDED),
        ("flatten", None, OperationState.INTERRUPTED),
        ("remove", marked("remove"), OperationState.INTERRUPTED),
        ("purge", marked("remove"), OperationState.INTERRUPTED),
        ("rollback", marked("rollback"), OperationState.INTERRUPTED),
        ("shrink", marked("shrink"), OperationState.INTERRUPTED),
        ("remove", WHOLE, OperationState.INTERRUPTED),
        ("remove", marked("remove", "another"), OperationState.INTERRUPTED),
        ("flatten", CLONE, OperationState.INTERRUPTED),
        ("flatten", WHOLE, OperationState.SUCCEEDED),
        ("rollback", WHOLE, OperationState.SUCCEEDED),
        ("rollback", marked("rollback", "another"), OperationState.SUCCEEDED),
    ],
)
def test_state_of_an_operation_follows_from_the_image(
    kind: str, header: ImageHeader | None, state: OperationState
) -> None:
    judged, detail = judge_by_image(OperationTarget(kind, "rbd", "", "image", "1"), "this", header)
    assert judged is state
    assert detail or state is OperationState.SUCCEEDED


@given(st.text(), st.text(), st.text(), st.text(), st.integers(0, 2**32 - 1))
def test_identifier_encodes_its_target(kind: str, pool: str, namespace: str, image: str, started: int) -> None:
    target = OperationTarget(kind, pool, namespace, image, "1234")
    assert parse_identifier(target.identifier(started)) == (target, started)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", max_size=80))
def test_invalid_identifier_is_none(text: str) -> None:
    assert parse_identifier(text) is None
