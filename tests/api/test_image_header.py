"""Headers and trash entries that are decoded without librbd, compared with librbd."""

import struct
from typing import Any

import pytest
import rbd
from hypothesis import given
from hypothesis import strategies as st

from provisioner.ceph import cls_rbd, directory, image_header, trash, trash_entry
from sutler import well_known

FEATURES = (1, 1 | 4, 1 | 4 | 8 | 16, 61, 61 | 64)


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("order", [12, 20, 22, 25])
def test_decoded_header_matches_librbd(ioctx: Any, features: int, order: int) -> None:
    rbd.RBD().create(ioctx, "image", (5 << order) + 512, order=order, old_format=False, features=features)
    with rbd.Image(ioctx, "image") as image:
        image.metadata_set("key", "välue")
        image.metadata_set("empty", "")
        image.create_snap("one")
        image.write(b"x", 0)
        image.write(b"x", 3 << order)
        truth = (image.id(), image.size(), image.stat()["order"], image.create_timestamp())
    found = directory.get_header(ioctx, "image")
    assert (found.id, found.size, found.order, found.created.replace(tzinfo=None)) == truth
    assert (dict(found.metadata), found.snapshots) == ({"key": "välue", "empty": ""}, 1)
    assert directory.used_bytes(ioctx, found) == (2 << order if features & 8 else None)


def test_header_with_thousands_of_keys_is_read_completely(ioctx: Any) -> None:
    rbd.RBD().create(ioctx, "image", 1 << 20, old_format=False, features=1)
    written = {f"key-{number}": str(number) for number in range(1100)}
    header = cls_rbd.HEADER_PREFIX + directory.get_header(ioctx, "image").id
    ioctx.execute(header, cls_rbd.CLASS_NAME, "metadata_set", cls_rbd.encode_map(written))
    found = directory.get_header(ioctx, "image")
    assert found.metadata == written
    (listed,) = directory.list_page(ioctx, "", "", 10)
    assert listed.header == found


def test_version_changes_with_the_header_only(ioctx: Any) -> None:
    rbd.RBD().create(ioctx, "image", 1 << 20, old_format=False, features=61)
    versions = [directory.get_header(ioctx, "image").version]

    def version() -> str:
        return directory.get_header(ioctx, "image").version

    with rbd.Image(ioctx, "image") as image:
        image.write(b"x", 0)
        image.flush()
    assert version() == versions[0], "data are not what it is about"
    with rbd.Image(ioctx, "image") as image:
        for method, *arguments in (
            ("resize", 2 << 20),
            ("create_snap", "one"),
            ("protect_snap", "one"),
            ("metadata_set", "a", "b"),
        ):
            getattr(image, str(method))(*arguments)
            versions.append(version())
    rbd.RBD().rename(ioctx, "image", "renamed")
    versions.append(directory.get_header(ioctx, "renamed").version)
    assert len(set(versions)) == len(versions)


def test_decoded_trash_matches_librbd(ioctx: Any) -> None:
    librbd = rbd.RBD()
    for number in range(3):
        librbd.create(ioctx, f"ünter-{number}", 1 << 20, old_format=False, features=1)
        librbd.trash_move(ioctx, f"ünter-{number}", number * 100)
    truth = {(one["id"], one["name"], one["deferment_end_time"]) for one in librbd.trash_list(ioctx)}
    found = trash.list_entries(ioctx, "", 10)
    assert {(one.id, one.name, one.until.replace(tzinfo=None)) for one in found} == truth
    assert len(list(trash_entry.iterate(ioctx))) == 3


def test_trash_entry_whose_name_is_not_utf_8_is_decoded() -> None:
    name = b"\xffold"
    value = bytes(7) + struct.pack("<I", len(name)) + name + struct.pack("<IIII", 100, 0, 200, 0) + b"\x02"
    entry = trash_entry.decode("abc", value)
    times = (entry.deleted.timestamp(), entry.until.timestamp())
    assert (entry.source, entry.name, times, entry.removing) == ("USER", "\ufffdold", (100, 200), True)
    assert trash_entry.decode("abc", trash_entry.moved_by_user(value[:6] + b"\x03" + value[7:])) == entry


@given(st.lists(st.integers(0, 3), max_size=400))
def test_objects_of_an_object_map_are_counted(states: list[int]) -> None:
    data = bytearray((len(states) + 3) // 4)
    for index, state in enumerate(states):
        data[index // 4] |= state << (6 - 2 * (index % 4))
    header = struct.pack("<BBIQ", 1, 1, 8, len(states))
    encoded = struct.pack("<I", len(header)) + header + bytes(data) + b"\xff" * 12
    assert cls_rbd.count_objects(encoded) == sum(state != 0 for state in states)


@given(st.dictionaries(st.text(max_size=20), st.binary(max_size=20), max_size=5))
def test_incomplete_header_is_none(items: dict[str, bytes]) -> None:
    assert image_header.decode("id", "name", {key: value for key, value in items.items() if key != "size"}) is None


def test_mark_names_the_interrupted_work(ioctx: Any) -> None:
    rbd.RBD().create(ioctx, "image", 1 << 20, old_format=False, features=1)
    with rbd.Image(ioctx, "image") as image:
        image.metadata_set(well_known.UNFINISHED, "remove some-operation")
    found = directory.get_header(ioctx, "image")
    assert found.metadata[well_known.UNFINISHED].startswith("remove")
