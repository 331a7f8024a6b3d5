"""Looking for all that deleting a pool would destroy, as blocking calls. What it means is in `contents`.

Everything in the pool is listed, in all RADOS namespaces, and every image of the other pools is asked whether its data
or its parent lies here. It takes only as long as it may: what is left then counts as not seen.
"""

import errno
import re
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from provisioner.ceph import directory
from provisioner.ceph.bindings import rados
from provisioner.ceph.cls_rbd import HEADER
from provisioner.ceph.connection import Connection
from provisioner.ceph.errors import CephError, CephUnavailable, PoolMissing, from_errno, translated
from provisioner.ceph.format1 import FIRST_FORMAT, is_first_format
from provisioner.ceph.model import FEATURES
from provisioner.ceph.object_listing import ObjectListing
from provisioner.ceph.pool_contents import DATA, SHOWN, PoolContents, allowed_keys

_EVERYWHERE = rados.LIBRADOS_ALL_NSPACES
_ENOUGH = 5000
"""Objects with something in them after which no more are listed: it is known by then that the pool is not empty."""
_AT_ONCE = 500
_ERASURE = 3
"""Ceph's number for the type."""
_DATA_POOL, _PARENT, _FEATURES, _JOURNAL_POOL = "data_pool_id", "parent", "features", "pool_id"
_TIES = _DATA, _CLONES, _JOURNALS = (
    "images of other pools keep their data in it",
    "images of other pools are clones of its images",
    "images of other pools keep their journals in it",
)
_CLAIM = ("metadata_csi.storage.k8s.io/pvc/namespace", "metadata_csi.storage.k8s.io/pvc/name")
_ZONES = ".rgw.root"
_HARMLESS = "rbd_default_pool"
"""Only where `rbd` looks when no pool is named."""


def look(connection: Connection, name: str, *, seconds: float, certain: bool = True) -> PoolContents:
    """All that speaks against deleting the pool. `certain`: waits for statistics that say more than was seen."""
    return _Survey(connection, name, seconds).run(certain=certain)


class _Survey:
    def __init__(self, connection: Connection, name: str, seconds: float) -> None:
        self._connection = connection
        self._until = time.monotonic() + seconds
        self._name = name
        self._found = PoolContents(name)
        self._namespaces = {""}

    def run(self, *, certain: bool) -> PoolContents:
        found = self._found
        pools = self._connection.command("osd pool ls", detail="detail")
        own = next((pool for pool in pools if pool["pool_name"] == self._name), None)
        if own is None:
            raise PoolMissing(f"pool {self._name} does not exist in this Ceph cluster")
        found.ties += _settings(own)
        self._see("its objects", self._objects)
        self._see("its RADOS namespaces", self._known_namespaces)
        for namespace in sorted(self._namespaces):
            self._see(f"its RADOS namespace {namespace}" if namespace else "its images", self._space, namespace)
        for pool in pools:
            if pool is not own and pool["type"] != _ERASURE:  # which can't hold an image's header
                other = pool["pool_name"]
                self._see(f"the images of pool {other}", self._elsewhere, other, own["pool_id"])
        self._see("Ceph's configuration", self._configuration)
        self._see("the file systems", self._file_systems)
        self._see("the zones of object gateways", self._zones)
        self._see("its statistics", self._statistics, certain and found.proven_empty)
        return found

    def _own(self, namespace: str) -> Any:
        return self._connection.ioctx(self._name, namespace)

    def _see(self, what: str, look: Callable[..., None], *arguments: Any) -> None:
        try:
            self._hurry()
            look(*arguments)
        except CephError as error:
            self._found.unseen.append(f"{what}: {error}")

    def _hurry(self) -> None:
        if time.monotonic() > self._until:
            raise CephUnavailable("there was no time left to look")

    def _objects(self) -> None:
        for namespace, key in self._listing(self._connection.objects(self._name, _EVERYWHERE)):
            self._found.seen += 1
            self._namespaces.add(namespace)
            if not self._is_bookkeeping(namespace, key):
                self._found.add_object(namespace, key)
                if key.endswith(FIRST_FORMAT) and is_first_format(self._own(namespace), key):
                    self._found.add_image(namespace, key.removesuffix(FIRST_FORMAT))
            if self._found.objects.total() >= _ENOUGH:
                return

    def _listing(self, objects: ObjectListing) -> Iterator[tuple[str, str]]:
        for one in objects.listed():
            self._hurry()
            yield one.nspace, one.key

    def _is_bookkeeping(self, namespace: str, key: str) -> bool:
        allowed = allowed_keys(key)
        if allowed is None:
            return False
        ioctx = self._own(namespace)
        with translated("reading", key):
            data = ioctx.read(key, 1024)
        if data and data not in DATA.get(key, ()):
            return False
        return all(name.startswith(allowed) for name, _ in self._keys(ioctx, key, ""))

    def _known_namespaces(self) -> None:
        self._namespaces.update(key for key, _ in self._keys(self._own(""), "rbd_namespace", "name_"))

    def _space(self, namespace: str) -> None:
        """Images of one RADOS namespace, and what its trash holds."""
        ioctx = self._own(namespace)
        for name, identifier in self._images(ioctx):
            if len(self._found.images) < SHOWN:
                self._claim(ioctx, identifier)
            self._found.add_image(namespace, name)
        self._found.trashed += sum(1 for _ in self._trashed(ioctx))

    def _claim(self, ioctx: Any, identifier: str) -> None:
        values = _values(ioctx, [HEADER + identifier], _CLAIM)[0]
        if len(values) == len(_CLAIM):
            self._found.claims.append("/".join(values[key].decode(errors="replace") for key in _CLAIM))

    def _images(self, ioctx: Any) -> Iterator[tuple[str, str]]:
        for key, value in self._keys(ioctx, "rbd_directory", "name_"):
            yield key, value[4:].decode(errors="replace")

    def _trashed(self, ioctx: Any) -> Iterator[str]:
        for key, _ in self._keys(ioctx, "rbd_trash", "id_"):
            yield key

    def _keys(self, ioctx: Any, oid: str, prefix: str) -> Iterator[tuple[str, bytes]]:
        after = ""
        while page := directory.omap(ioctx, oid, after, prefix, _AT_ONCE):
            self._hurry()
            for key, value in page:
                yield key.removeprefix(prefix), value
            after = page[-1][0]

    def _elsewhere(self, pool: str, number: int) -> None:
        """Images of another pool that have their data, parents or journals here; and that pool's own settings."""
        base = self._connection.ioctx(pool)
        for key, value in directory.omap(base, "rbd_info", "", "metadata_conf_", _AT_ONCE):
            if key.endswith("_pool") and value.decode(errors="replace") == self._name:
                self._found.ties.append(f"the configuration of pool {pool} names it ({key.removeprefix('metadata_')})")
        tied: dict[str, list[str]] = {words: [] for words in _TIES}
        for namespace in ["", *(key for key, _ in self._keys(base, "rbd_namespace", "name_"))]:
            ioctx = self._connection.ioctx(pool, namespace)
            images = list(self._images(ioctx)) + [(f"{one} (in the trash)", one) for one in self._trashed(ioctx)]
            place = f"{pool}/{namespace}" if namespace else pool
            for start in range(0, len(images), _AT_ONCE):
                self._hurry()
                for name, words in _tied(ioctx, images[start : start + _AT_ONCE], number):
                    tied[words].append(f"{place}/{name}")
        for words, names in tied.items():
            self._found.ties += _said(words, names)

    def _configuration(self) -> None:
        ties = self._found.ties
        for option in self._connection.command("config dump"):
            if option["value"] == self._name and option["name"].endswith("_pool") and option["name"] != _HARMLESS:
                ties.append(f"Ceph's configuration names it ({option['name']} of {option['section']})")
        for name in ("rbd_default_data_pool", "rbd_journal_pool"):
            if self._connection.rados.conf_get(name) == self._name and not any(name in tie for tie in ties):
                ties.append(f"this service's Ceph configuration names it ({name})")

    def _file_systems(self) -> None:
        for one in self._connection.command("fs ls"):
            if self._name in (one["metadata_pool"], *one["data_pools"]):
                self._found.ties.append(f"it belongs to the file system {one['name']}")

    def _zones(self) -> None:
        if self._name == _ZONES or self._connection.rados.pool_lookup(_ZONES) is None:
            return
        name = re.compile(rb"(?<![\w.-])" + re.escape(self._name.encode()) + rb"(?![\w.-])")
        for namespace, key in self._listing(self._connection.objects(_ZONES, _EVERYWHERE)):
            if key.startswith("zone_info."):
                with translated("reading", key):
                    data = self._connection.ioctx(_ZONES, namespace).read(key, 1 << 20)
                if name.search(data):
                    self._found.ties.append(f"a zone of object gateways names it ({key} in pool {_ZONES})")

    def _statistics(self, wait: bool) -> None:
        """They are late, so that they prove nothing; but more objects than were seen have to be explained."""
        found = self._found
        while True:
            pools = self._connection.command("df")["pools"]
            stats = next((pool["stats"] for pool in pools if pool["name"] == self._name), None)
            if stats is None:
                return
            found.total, found.stored = stats["objects"], stats["stored"]
            if not wait or found.total <= found.seen:
                return
            if time.monotonic() > self._until:
                found.unseen.append(f"Ceph's statistics count {found.total} objects, only {found.seen} were seen")
                return
            time.sleep(0.5)


def _settings(pool: Mapping[str, Any]) -> list[str]:
    said = []
    if others := sorted(set(pool["application_metadata"]) - {"rbd"}):
        said.append(f"it is of application {', '.join(others)}")
    if pool["pool_name"].startswith("."):
        said.append("its name is one of Ceph's own")
    said += _said("snapshots of the pool", [snapshot["name"] for snapshot in pool["pool_snaps"]])
    if pool["tiers"] or pool["tier_of"] >= 0:
        said.append("it is a cache tier, or has one")
    return said


def _said(words: str, names: list[str]) -> list[str]:
    shown = ", ".join(names[:5])
    return [f"{words}: {len(names)}, {shown}{' and more' if len(names) > len(names[:5]) else ''}"] if names else []


def _tied(ioctx: Any, images: list[tuple[str, str]], number: int) -> Iterator[tuple[str, str]]:
    """Names of those that need the pool of this number, with what for."""
    read = _values(ioctx, [HEADER + identifier for _, identifier in images], (_DATA_POOL, _PARENT, _FEATURES))
    journaled = []
    for (name, identifier), values in zip(images, read, strict=True):
        if _number(values.get(_DATA_POOL), 0) == number:
            yield name, _DATA
        # After two bytes of version and four of length.
        if _number(values.get(_PARENT), 6) == number:
            yield name, _CLONES
        if (_number(values.get(_FEATURES), 0) or 0) & FEATURES["journaling"]:
            journaled.append((name, identifier))
    journals = _values(ioctx, [f"journal.{identifier}" for _, identifier in journaled], (_JOURNAL_POOL,))
    for (name, _), values in zip(journaled, journals, strict=True):
        if _number(values.get(_JOURNAL_POOL), 0) == number:
            yield name, _JOURNALS


def _values(ioctx: Any, objects: list[str], keys: tuple[str, ...]) -> list[dict[str, bytes]]:
    """These keys of the objects, all asked for at once; none of one that is not there."""
    started = []
    try:
        for one in objects:
            operation = ioctx.create_read_op()
            found, _ = ioctx.get_omap_vals_by_keys(operation, keys)
            started.append((operation, found, ioctx.operate_aio_read_op(operation, one)))
        return [_answer(found, completion) for _, found, completion in started]
    finally:
        for operation, _, completion in started:
            completion.wait_for_complete()
            ioctx.release_read_op(operation)


def _answer(found: Any, completion: Any) -> dict[str, bytes]:
    completion.wait_for_complete()
    code = -completion.get_return_value()
    if code == errno.ENOENT:
        return {}
    if code > 0:
        raise from_errno(code, "reading", "the headers of images")
    return {key: value or b"" for key, value in found}


def _number(value: bytes | None, offset: int) -> int | None:
    if value is None or len(value) < offset + 8:
        return None
    return int(struct.unpack_from("<q", value, offset)[0])
