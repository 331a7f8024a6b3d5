"""Layers of the image: what a step changed, kept, and changed again elsewhere."""

import os
import tarfile
import time
from pathlib import Path

import pytest

from tests.cluster import layers


def tree(root: Path) -> dict[str, str]:
    """Every path with what is there."""
    found = {}
    for path in root.rglob("*"):
        content = "folder" if path.is_dir() else path.read_text()
        found[str(path.relative_to(root))] = f"-> {path.readlink()}" if path.is_symlink() else content
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("kept", "changed", "gone", "folder/inside", "becomes-a-file/inside", "becomes-a-folder"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "link").symlink_to("kept")
    return root


@pytest.fixture
def store(tmp_path: Path) -> layers.Store:
    (tmp_path / "store").mkdir()
    return layers.Store(tmp_path / "store")


def step(root: Path) -> None:
    (root / "changed").write_text("CHANGED")  # as long as before
    (root / "new").write_text("new")
    (root / "gone").unlink()
    for name in ("folder", "becomes-a-file"):
        (root / name / "inside").unlink()
        (root / name).rmdir()
    (root / "becomes-a-file").write_text("file")
    (root / "becomes-a-folder").unlink()
    (root / "becomes-a-folder").mkdir()
    (root / "link").unlink()
    (root / "link").symlink_to("changed")


def test_layer_of_a_step_does_elsewhere_what_the_step_did(root: Path, store: layers.Store, tmp_path: Path) -> None:
    below = store.make("below", ((name, root / name) for name in sorted(layers.state(root))))
    before = layers.state(root)
    step(root)
    changed, removed = layers.difference(before, layers.state(root))
    assert "kept" not in changed
    store.make("step", ((name, root / name) for name in changed), removed)
    other = tmp_path / "other"
    other.mkdir()
    above = store.find("step")
    assert above is not None
    for one in (below, above):
        layers.unpack(one, other)
    assert tree(other) == tree(root)
    with tarfile.open(above.layer.blob) as tar:
        assert [name for name in tar.getnames() if ".wh." in name] == [".wh.folder", ".wh.gone"], (
            "for container runtimes"
        )


def test_unknown_key_has_no_layer(store: layers.Store) -> None:
    assert store.find("unknown") is None


def test_old_layers_go_and_those_of_this_image_stay(store: layers.Store, root: Path, tmp_path: Path) -> None:
    for key in ("used", "young", "old"):
        store.make(key, [("kept", root / "kept")])
    month_ago = time.time() - 30 * 86_400
    for key in ("used", "old"):
        os.utime(tmp_path / "store" / key, (month_ago, month_ago))
    store.prune(["used"])
    assert [store.find(key) is not None for key in ("used", "young", "old")] == [True, True, False]


def test_least_recently_used_goes_first_where_layers_take_too_much(
    store: layers.Store, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for age, key in enumerate(("newest", "newer", "older")):
        made = store.make(key, [("kept", root / "kept")])
        monkeypatch.setattr(layers, "_KEPT_BYTES", 2 * made.layer.blob.stat().st_size)
        used = time.time() - 60 * age
        os.utime(tmp_path / "store" / key, (used, used))
    store.prune([])
    assert [store.find(key) is not None for key in ("newest", "newer", "older")] == [True, True, False]


def test_layer_that_was_not_finished_is_none(store: layers.Store, root: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.make("broken", [("kept", root / "kept"), ("missing", root / "missing")])
    (tmp_path / "store" / "make-by-one-that-was-killed").mkdir()
    again = layers.Store(tmp_path / "store")
    assert again.find("broken") is None
    assert list((tmp_path / "store").iterdir()) == []
