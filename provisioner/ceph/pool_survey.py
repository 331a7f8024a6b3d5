"""Reads everything that the deletion of a pool would destroy or break, as blocking calls.

All objects of the pool are listed, in all RADOS namespaces, and every image of the other pools is checked for data or a
parent in this pool. The time is limited: what was not read until then counts as not verified.
"""

import errno
import re
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from provisioner.ceph import directory
from provisioner.ceph.bindings import rados
from provisioner.ceph.cls_rbd import HEADER_PREFIX
from provisioner.ceph.connection import Connection
from provisioner.ceph.errors import CephError, CephUnavailable, PoolMissing, from_errno, translated
from provisioner.ceph.format1 import HEADER_SUFFIX, is_format1
from provisioner.ceph.model import FEATURES
from provisioner.ceph.object_listing import ObjectListing
from provisioner.ceph.pool_contents import BOOKKEEPING_DATA, LISTED_IMAGES, PoolContents, allowed_keys

_ALL_NAMESPACES = rados.LIBRADOS_ALL_NSPACES
_ENOUGH_OBJECTS = 5000
"""Listing stops after this many objects that are not bookkeeping: the pool is not empty."""
_KEYS_PER_READ = 500
_ERASURE_TYPE = 3
"""Ceph's number of the pool type."""
_DATA_POOL, _PARENT, _FEATURES, _JOURNAL_POOL = "data_pool_id", "parent", "features", "pool_id"
_DEPENDENCIES = _DATA, _CLONES, _JOURNALS = (
    "images of other pools keep their data in it",
    "images of other pools are clones of its images",
    "images of other pools keep their journals in it",
)
_CLAIM = ("metadata_csi.storage.k8s.io/pvc/namespace", "metadata_csi.storage.k8s.io/pvc/name")
_ZONE_POOL = ".rgw.root"
_DEFAULT_POOL = "rbd_default_pool"
"""An option that does not depend on the pool: it is only the default of the command `rbd`."""


def survey(connection: Connection, name: str, *, seconds: float, certain: bool = True) -> PoolContents:
    """Everything that prevents the deletion of the pool, read within `seconds`.

    `certain`: waits for the statistics as long as they count more objects than were listed. Raises PoolMissing.
    """
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
        found.dependencies += _pool_dependencies(own)
        self._inspect("its objects", self._inspect_objects)
        self._inspect("its RADOS namespaces", self._read_namespaces)
        for namespace in sorted(self._namespaces):
            self._inspect(
                f"its RADOS namespace {namespace}" if namespace else "its images", self._inspect_namespace, namespace
            )
        for pool in pools:
            if pool is not own and pool["type"] != _ERASURE_TYPE:  # an erasure-coded pool has no headers of images
                other = pool["pool_name"]
                self._inspect(f"the images of pool {other}", self._inspect_other_pool, other, own["pool_id"])
        self._inspect("Ceph's configuration", self._inspect_configuration)
        self._inspect("the file systems", self._inspect_file_systems)
        self._inspect("the zones of object gateways", self._inspect_zones)
        self._inspect("its statistics", self._compare_statistics, certain and found.proven_empty)
        return found

    def _ioctx(self, namespace: str) -> Any:
        return self._connection.ioctx(self._name, namespace)

    def _inspect(self, what: str, inspect: Callable[..., None], *arguments: Any) -> None:
        try:
            self._require_time()
            inspect(*arguments)
        except CephError as error:
            self._found.unverified.append(f"{what}: {error}")

    def _require_time(self) -> None:
        if time.monotonic() > self._until:
            raise CephUnavailable("there was no time left to read it")

    def _inspect_objects(self) -> None:
        for namespace, key in self._list_objects(self._connection.object_listing(self._name, _ALL_NAMESPACES)):
            self._found.listed += 1
            self._namespaces.add(namespace)
            if not self._is_bookkeeping(namespace, key):
                self._found.add_object(namespace, key)
                if key.endswith(HEADER_SUFFIX) and is_format1(self._ioctx(namespace), key):
                    self._found.add_image(namespace, key.removesuffix(HEADER_SUFFIX))
            if self._found.objects.total() >= _ENOUGH_OBJECTS:
                return

    def _list_objects(self, objects: ObjectListing) -> Iterator[tuple[str, str]]:
        for one in objects.iterate():
            self._require_time()
            yield one.nspace, one.key

    def _is_bookkeeping(self, namespace: str, key: str) -> bool:
        allowed = allowed_keys(key)
        if allowed is None:
            return False
        ioctx = self._ioctx(namespace)
        with translated("reading", key):
            data = ioctx.read(key, 1024)
        if data and data not in BOOKKEEPING_DATA.get(key, ()):
            return False
        return all(name.startswith(allowed) for name, _ in self._list_keys(ioctx, key, ""))

    def _read_namespaces(self) -> None:
        self._namespaces.update(key for key, _ in self._list_keys(self._ioctx(""), "rbd_namespace", "name_"))

    def _inspect_namespace(self, namespace: str) -> None:
        """Adds the images of one RADOS namespace and those in its trash."""
        ioctx = self._ioctx(namespace)
        for name, identifier in self._list_images(ioctx):
            if len(self._found.images) < LISTED_IMAGES:
                self._add_claim(ioctx, identifier)
            self._found.add_image(namespace, name)
        self._found.trashed += sum(1 for _ in self._list_trash(ioctx))

    def _add_claim(self, ioctx: Any, identifier: str) -> None:
        values = _read_values(ioctx, [HEADER_PREFIX + identifier], _CLAIM)[0]
        if len(values) == len(_CLAIM):
            self._found.claims.append("/".join(values[key].decode(errors="replace") for key in _CLAIM))

    def _list_images(self, ioctx: Any) -> Iterator[tuple[str, str]]:
        for key, value in self._list_keys(ioctx, "rbd_directory", "name_"):
            yield key, value[4:].decode(errors="replace")

    def _list_trash(self, ioctx: Any) -> Iterator[str]:
        for key, _ in self._list_keys(ioctx, "rbd_trash", "id_"):
            yield key

    def _list_keys(self, ioctx: Any, oid: str, prefix: str) -> Iterator[tuple[str, bytes]]:
        after = ""
        while page := directory.read_omap(ioctx, oid, after, prefix, _KEYS_PER_READ):
            self._require_time()
            for key, value in page:
                yield key.removeprefix(prefix), value
            after = page[-1][0]

    def _inspect_other_pool(self, pool: str, number: int) -> None:
        """Adds images of another pool with data, a parent or a journal in this one, and its settings with this name."""
        base = self._connection.ioctx(pool)
        for key, value in directory.read_omap(base, "rbd_info", "", "metadata_conf_", _KEYS_PER_READ):
            if key.endswith("_pool") and value.decode(errors="replace") == self._name:
                self._found.dependencies.append(
                    f"the configuration of pool {pool} names it ({key.removeprefix('metadata_')})"
                )
        tied: dict[str, list[str]] = {words: [] for words in _DEPENDENCIES}
        for namespace in ["", *(key for key, _ in self._list_keys(base, "rbd_namespace", "name_"))]:
            ioctx = self._connection.ioctx(pool, namespace)
            images = list(self._list_images(ioctx)) + [
                (f"{one} (in the trash)", one) for one in self._list_trash(ioctx)
            ]
            place = f"{pool}/{namespace}" if namespace else pool
            for start in range(0, len(images), _KEYS_PER_READ):
                self._require_time()
                for name, words in _dependent_images(ioctx, images[start : start + _KEYS_PER_READ], number):
                    tied[words].append(f"{place}/{name}")
        for words, names in tied.items():
            self._found.dependencies += _described(words, names)

    def _inspect_configuration(self) -> None:
        dependencies = self._found.dependencies
        for option in self._connection.command("config dump"):
            if option["value"] == self._name and option["name"].endswith("_pool") and option["name"] != _DEFAULT_POOL:
                dependencies.append(f"Ceph's configuration names it ({option['name']} of {option['section']})")
        for name in ("rbd_default_data_pool", "rbd_journal_pool"):
            if self._connection.rados.conf_get(name) == self._name and not any(name in tie for tie in dependencies):
                dependencies.append(f"this service's Ceph configuration names it ({name})")

    def _inspect_file_systems(self) -> None:
        for one in self._connection.command("fs ls"):
            if self._name in (one["metadata_pool"], *one["data_pools"]):
                self._found.dependencies.append(f"it belongs to the file system {one['name']}")

    def _inspect_zones(self) -> None:
        if self._name == _ZONE_POOL or self._connection.rados.pool_lookup(_ZONE_POOL) is None:
            return
        name = re.compile(rb"(?<![\w.-])" + re.escape(self._name.encode()) + rb"(?![\w.-])")
        for namespace, key in self._list_objects(self._connection.object_listing(_ZONE_POOL, _ALL_NAMESPACES)):
            if key.startswith("zone_info."):
                with translated("reading", key):
                    data = self._connection.ioctx(_ZONE_POOL, namespace).read(key, 1 << 20)
                if name.search(data):
                    self._found.dependencies.append(f"a zone of object gateways names it ({key} in pool {_ZONE_POOL})")

    def _compare_statistics(self, wait: bool) -> None:
        """Compares the listing with the statistics, which lag behind: a higher count there needs an explanation."""
        found = self._found
        while True:
            pools = self._connection.command("df")["pools"]
            stats = next((pool["stats"] for pool in pools if pool["name"] == self._name), None)
            if stats is None:
                return
            found.total, found.stored = stats["objects"], stats["stored"]
            if not wait or found.total <= found.listed:
                return
            if time.monotonic() > self._until:
                found.unverified.append(
                    f"Ceph's statistics count {found.total} objects, only {found.listed} were listed"
                )
                return
            time.sleep(0.5)


def _pool_dependencies(pool: Mapping[str, Any]) -> list[str]:
    texts = []
    if others := sorted(set(pool["application_metadata"]) - {"rbd"}):
        texts.append(f"it has the application {', '.join(others)}")
    if pool["pool_name"].startswith("."):
        texts.append("its name is reserved for Ceph")
    texts += _described("snapshots of the pool", [snapshot["name"] for snapshot in pool["pool_snaps"]])
    if pool["tiers"] or pool["tier_of"] >= 0:
        texts.append("it is a cache tier, or has one")
    return texts


def _described(words: str, names: list[str]) -> list[str]:
    shown = ", ".join(names[:5])
    return [f"{words}: {len(names)}, {shown}{' and more' if len(names) > len(names[:5]) else ''}"] if names else []


def _dependent_images(ioctx: Any, images: list[tuple[str, str]], number: int) -> Iterator[tuple[str, str]]:
    """The names of images that depend on the pool with this number, each with the reason."""
    read = _read_values(
        ioctx, [HEADER_PREFIX + identifier for _, identifier in images], (_DATA_POOL, _PARENT, _FEATURES)
    )
    journaled = []
    for (name, identifier), values in zip(images, read, strict=True):
        if _decode_number(values.get(_DATA_POOL), 0) == number:
            yield name, _DATA
        # The number follows two bytes of version and four of length.
        if _decode_number(values.get(_PARENT), 6) == number:
            yield name, _CLONES
        if (_decode_number(values.get(_FEATURES), 0) or 0) & FEATURES["journaling"]:
            journaled.append((name, identifier))
    journals = _read_values(ioctx, [f"journal.{identifier}" for _, identifier in journaled], (_JOURNAL_POOL,))
    for (name, _), values in zip(journaled, journals, strict=True):
        if _decode_number(values.get(_JOURNAL_POOL), 0) == number:
            yield name, _JOURNALS


def _read_values(ioctx: Any, objects: list[str], keys: tuple[str, ...]) -> list[dict[str, bytes]]:
    """The values of these keys of all objects, read at the same time; none for an object that does not exist."""
    started = []
    try:
        for one in objects:
            operation = ioctx.create_read_op()
            found, _ = ioctx.get_omap_vals_by_keys(operation, keys)
            started.append((operation, found, ioctx.operate_aio_read_op(operation, one)))
        return [_finish_values(found, completion) for _, found, completion in started]
    finally:
        for operation, _, completion in started:
            completion.wait_for_complete()
            ioctx.release_read_op(operation)


def _finish_values(found: Any, completion: Any) -> dict[str, bytes]:
    completion.wait_for_complete()
    code = -completion.get_return_value()
    if code == errno.ENOENT:
        return {}
    if code > 0:
        raise from_errno(code, "reading", "the headers of images")
    return {key: value or b"" for key, value in found}


def _decode_number(value: bytes | None, offset: int) -> int | None:
    if value is None or len(value) < offset + 8:
        return None
    return int(struct.unpack_from("<q", value, offset)[0])
