"""Marks on images: the image that they are about, their text, and the progress of a removal. Pure: no I/O."""

from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

import pytest

from provisioner.api.operations import OperationTarget
from provisioner.api.schemas.trash import TrashEntryResponse
from provisioner.ceph.dependents import Dependents, change_blockers, removal_blockers
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.interrupted import explain, operation_of, read_progress
from provisioner.ceph.trash_entry import TrashEntry
from sutler import well_known
from sutler.cli.images import trash
from tests.ceph.headers import WHOLE

NOW = datetime.now(UTC)
RECENT = int(NOW.timestamp()) + 24 * 3600
"""Ahead of the clock: what a removal has noted is recent for two minutes, and a run of all tests takes longer."""
OLD = OperationTarget("remove", "rbd", "", "image", "abc").identifier(1)
OLD_OF_ANOTHER = OperationTarget("remove", "rbd", "", "image", "def").identifier(1)


def saying(**said: str) -> ImageHeader:
    keys = {"mark": well_known.UNFINISHED, "progress": well_known.PROGRESS}
    return replace(WHOLE, metadata=MappingProxyType({keys[key]: value for key, value in said.items()}))


@pytest.mark.parametrize(
    ("mark", "says", "operation"),
    [
        ("remove op abc", "its removal has begun and some of its data is lost", "op"),
        ("remove - abc", "its removal has begun and some of its data is lost", None),
        ("rollback op abc", "roll it back again", "op"),
        ("shrink op abc", "shrink it again", "op"),
        ("sparsify op abc", "sparsify has begun", "op"),
        # Version 0.1.0 marked before it knew whether anything would be removed.
        ("remove op", "remove the mark (rbd image-meta remove IMAGE sutler.dev/unfinished)", "op"),
        # An operation's identifier is another one in each process, and the name of a test must not be.
        pytest.param(f"remove {OLD}", "remove the mark", OLD, id="remove by an operation"),
        ("remove", "remove the mark", None),
        ("rollback op", "roll it back again", "op"),
    ],
)
def test_mark_of_the_image_is_explained(mark: str, says: str, operation: str | None) -> None:
    found = saying(mark=mark)
    assert says in (explain(found) or "")
    assert operation_of(found) == operation


@pytest.mark.parametrize(
    "mark",
    [
        "",
        "remove op def",
        "rollback - def",
        pytest.param(f"remove {OLD_OF_ANOTHER}", id="remove by an operation"),
    ],
)
def test_mark_of_the_original_is_ignored(mark: str) -> None:
    found = saying(mark=mark, progress="0.5 1 2")
    assert (explain(found), operation_of(found), read_progress(found, 3)) == (None, None, None)


@pytest.mark.parametrize(
    ("note", "now", "share"),
    [
        ("0.2500 1000 1100", 1100, (0.25, True, 300)),
        ("0.2500 1000 1100", 1150, (0.25, True, 250)),
        ("0.2500 1000 1100", 9999, (0.25, False, None)),
        ("0.2500 1000 0", 1100, (0.25, False, None)),
        ("0.0000 1000 1000", 1000, (0.0, True, None)),
        ("1.0000 1000 1100", 1101, (1.0, True, 0)),
    ],
)
def test_progress_estimates_the_time_while_it_runs(
    note: str, now: float, share: tuple[float, bool, int | None]
) -> None:
    found = read_progress(saying(mark="remove op abc", progress=note), now)
    assert found is not None
    assert (found.done, found.active, found.left) == share


@pytest.mark.parametrize("note", ["", "half", "2 1 1", "0.5 1", "x y z"])
def test_invalid_progress_is_none(note: str) -> None:
    assert read_progress(saying(mark="remove op abc", progress=note), 1) is None


@pytest.mark.parametrize(
    ("found", "removing", "says", "progress"),
    [
        (WHOLE, False, None, None),
        (WHOLE, True, "some of its data may be lost: purge it", None),
        (saying(mark="remove - abc", progress="0.5 1 0"), True, "some of its data is lost", 0.5),
        (
            saying(mark="remove - abc", progress=f"0.5 1 {RECENT}"),
            True,
            "being removed, 50% is done",
            0.5,
        ),
        (saying(mark="remove mine abc", progress=f"0.5 1 {RECENT}"), True, "operation mine", 0.5),
    ],
)
def test_trash_shows_running_and_interrupted_removals(
    found: ImageHeader, removing: bool, says: str | None, progress: float | None
) -> None:
    entry = TrashEntry("abc", "image", "USER", NOW, NOW, found, removing=removing)
    shown = TrashEntryResponse.of(entry, lambda operation: operation == "mine")
    assert (shown.unfinished is None) if says is None else says in (shown.unfinished or "")
    assert shown.progress == progress


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"progress": 0.5, "left_seconds": 7260}, "abc is being removed: 50.0% done, about 2:01:00 left"),
        ({"progress": 0.5, "left_seconds": None}, "abc is incomplete: purge it"),
        ({}, "abc is incomplete: purge it"),
    ],
)
def test_command_shows_the_progress_of_a_purge(said: dict[str, float | None], text: str) -> None:
    assert trash.removal_state({"id": "abc", "unfinished": "purge it", **said}) == text


def test_all_dependents_are_named_with_the_way_out() -> None:
    dependents = Dependents(
        watchers=("10.0.0.1:0/1",),
        children=("rbd/child",),
        snapshots=("monday",),
        group_snapshots=("rbd/trio@monday",),
        unknown_snapshots=("odd",),
        group="rbd/trio",
        migrating=True,
        demoted=True,
        operations=16,
    )
    found = removal_blockers("rbd/image", dependents)
    assert len(found) == 9
    assert all(len(reason) < 250 for reason in found)
    # What keeps it from being changed does not ask for what depends on it.
    assert change_blockers("rbd/image", dependents) == found[-4:]
    assert (removal_blockers("rbd/image", Dependents()), change_blockers("rbd/image", Dependents())) == ([], [])
