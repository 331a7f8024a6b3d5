"""What a StorageClass asks for: pure.

Parameters have the names that ceph-csi's users know. Those of a StorageClass can never be changed, so the ones that may
change without harm to existing volumes can also be set, and overridden, as `sutler.dev/NAME` annotations.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from provisioner.ceph.model import DEFAULT_OBJECT, FEATURES, LARGEST_OBJECT, REQUIRES, SMALLEST_OBJECT
from provisioner.volumes import naming
from provisioner.volumes.names import PREFIX
from sutler.errors import SutlerError
from sutler.kube.resources import Json
from sutler.quantity import QuantityError, parse

T = TypeVar("T")

CSI_PREFIX = "csi.storage.k8s.io/"
_FSTYPE = CSI_PREFIX + "fstype"

MUTABLE = (
    "deletionPolicy",
    "trashDelay",
    "imageFeatures",
    "imageNameTemplate",
    "mounter",
    "mapOptions",
    "unmapOptions",
)
"""May be given as annotations."""
SERVED = {
    "clusterID", "pool", "dataPool", "radosNamespace", "objectSize", "stripeUnit", "stripeCount", "volumeSource",
    "journal", "userId", _FSTYPE, *MUTABLE,
}  # fmt: skip
PASSED_ON = ("mounter", "mapOptions", "unmapOptions")
"""Meant for ceph-csi's node plugin."""
SECRETS = re.compile(
    rf"{CSI_PREFIX}(provisioner|controller-expand|controller-publish|node-stage|node-publish|node-expand)"
    r"-secret-(name|namespace)"
)
"""Secrets of ceph-csi's: the node's is passed on, those that its controller would use are accepted and not used."""
UNSERVED = {
    "encrypted": "encryption",
    "encryptionKMSID": "encryption",
    "encryptionType": "encryption",
    "thickProvision": "thick provisioning",
    "topologyConstrainedPools": "pools by topology",
    "volumeNamePrefix": "volumeNamePrefix (use imageNameTemplate)",
}
"""ceph-csi's, and a volume without them would not be what was asked for."""

FILESYSTEMS = ("ext4", "ext3", "xfs", "btrfs")
VOLUME_SOURCES = ("csi", "rbd")
DELETION_POLICIES = ("remove", "trash")
JOURNALS = ("none", "ceph-csi")
DEFAULT_DELAY = 24 * 3600
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NAME = re.compile(r"[^\s/@]+")


class ClassError(SutlerError):
    """Lists everything that is wrong with a StorageClass."""


@dataclass(frozen=True, slots=True)
class Secret:
    """May hold ${pvc.name}, ${pvc.namespace} and ${pv.name}, as with ceph-csi."""

    name: str
    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeClass:
    name: str
    provisioner: str
    cluster: str = ""
    """clusterID; empty: the only one."""
    pool: str
    namespace: str = ""
    """The RADOS namespace."""
    data_pool: str | None = None
    features: tuple[str, ...] = ("layering",)
    object_size: int = DEFAULT_OBJECT
    stripe_unit: int | None = None
    stripe_count: int | None = None
    filesystem: str = "ext4"
    volume_source: str = "csi"
    secret: Secret | None = None
    """With which nodes map the image."""
    expand_secret: Secret | None = None
    """With which ceph-csi's controller grows the image; only with the journal."""
    user: str = "admin"
    """Only for volumeSource rbd."""
    options: tuple[tuple[str, str], ...] = ()
    """Passed on to ceph-csi's node plugin."""
    template: str = naming.DEFAULT_TEMPLATE
    deletion_policy: str = "remove"
    journal: bool = False
    """Enter the images into ceph-csi's journal: its own controller can expand, snapshot and clone them then."""
    trash_delay: int = DEFAULT_DELAY
    """Seconds that an image stays restorable; only for deletion policy trash."""
    reclaim_policy: str = "Delete"
    mount_options: tuple[str, ...] = ()
    waits_for_consumer: bool = False
    expandable: bool = False


def parse_class(obj: Json) -> VolumeClass:
    """Raises ClassError with every problem at once, each with what would be accepted."""
    annotations = obj["metadata"].get("annotations") or {}
    given = dict(obj.get("parameters") or {})
    given |= {name: annotations[PREFIX + name] for name in MUTABLE if PREFIX + name in annotations}
    reader = _Reader(given)
    unknown = [_unknown(name) for name in given if name not in SERVED and not SECRETS.fullmatch(name)]
    result = VolumeClass(
        name=obj["metadata"]["name"],
        provisioner=obj["provisioner"],
        cluster=given.get("clusterID", ""),
        pool=reader.name("pool", required=True) or "",
        namespace=reader.name("radosNamespace") or "",
        data_pool=reader.name("dataPool"),
        features=reader.read("imageFeatures", _features, ("layering",)),
        object_size=reader.read("objectSize", _object_size, DEFAULT_OBJECT),
        stripe_unit=reader.read("stripeUnit", _size, None),
        stripe_count=reader.read("stripeCount", _count, None),
        filesystem=reader.one_of(_FSTYPE, FILESYSTEMS),
        volume_source=reader.one_of("volumeSource", VOLUME_SOURCES),
        secret=reader.secret("node-stage"),
        expand_secret=reader.secret("controller-expand"),
        user=given.get("userId", "admin"),
        options=tuple((name, given[name]) for name in PASSED_ON if name in given),
        template=reader.read("imageNameTemplate", naming.check_template, naming.DEFAULT_TEMPLATE),
        journal=reader.one_of("journal", JOURNALS) == "ceph-csi",
        deletion_policy=reader.one_of("deletionPolicy", DELETION_POLICIES),
        trash_delay=reader.read("trashDelay", _duration, DEFAULT_DELAY),
        reclaim_policy=obj.get("reclaimPolicy") or "Delete",
        mount_options=tuple(obj.get("mountOptions") or ()),
        waits_for_consumer=obj.get("volumeBindingMode") == "WaitForFirstConsumer",
        expandable=bool(obj.get("allowVolumeExpansion")),
    )
    problems = unknown + reader.problems + _together(result)
    if problems:
        raise ClassError(f"StorageClass {result.name}: {'; '.join(problems)}")
    return result


def _together(cls: VolumeClass) -> list[str]:
    problems = []
    if (cls.stripe_unit is None) != (cls.stripe_count is None):
        problems.append("stripeUnit and stripeCount go together: give both or neither")
    elif cls.stripe_unit is not None and (cls.stripe_unit > cls.object_size or cls.object_size % cls.stripe_unit):
        problems.append(f"stripeUnit {cls.stripe_unit} does not divide objectSize {cls.object_size}")
    if cls.journal and (not cls.cluster or cls.volume_source != "csi" or cls.template != naming.DEFAULT_TEMPLATE):
        problems.append("journal: ceph-csi needs a clusterID and volumeSource csi, and names the images itself")
    if cls.volume_source == "rbd" and cls.namespace:
        problems.append(
            "Kubernetes' own rbd volumes know no RADOS namespace: leave radosNamespace away, or volumeSource csi"
        )
    return problems


class _Reader:
    """Reads parameters one by one and collects what is wrong with them."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        self.problems: list[str] = []

    def read(self, name: str, convert: Callable[[str], T], default: T) -> T:
        if name not in self._given:
            return default
        try:
            return convert(self._given[name])
        except (ValueError, QuantityError) as error:
            self.problems.append(f"{name}: {error}")
            return default

    def name(self, name: str, *, required: bool = False) -> str | None:
        text = self._given.get(name)
        if text is None or not _NAME.fullmatch(text):
            if text is not None:
                self.problems.append(f"{name}: {text!r} is no name: no blanks, no / and no @")
            elif required:
                self.problems.append(f"{name} is missing: name the Ceph pool for the images")
            return None
        return text

    def secret(self, use: str) -> Secret | None:
        name, namespace = (f"{CSI_PREFIX}{use}-secret-{part}" for part in ("name", "namespace"))
        if (name in self._given) != (namespace in self._given):
            self.problems.append(f"{name} and {namespace} go together: give both or neither")
            return None
        return Secret(self._given[name], self._given[namespace]) if name in self._given else None

    def one_of(self, name: str, accepted: tuple[str, ...]) -> str:
        text = self._given.get(name, accepted[0])
        if text not in accepted:
            self.problems.append(f"{name}: {text!r} is not one of {', '.join(accepted)}")
        return text


def _unknown(name: str) -> str:
    if name in UNSERVED:
        return (
            f"{name}: {UNSERVED[name]} is not served: leave it away, or use ceph-csi's own provisioner for this class"
        )
    close = difflib.get_close_matches(name, SERVED, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(SERVED))}"
    return f"unknown parameter {name}: {hint}"


def _features(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in FEATURES:
            raise ValueError(f"{name!r} is not one of {', '.join(FEATURES)}")
        if name in REQUIRES and REQUIRES[name] not in names:
            raise ValueError(f"{name} needs {REQUIRES[name]}, too")
    return names or ("layering",)


def _size(text: str) -> int:
    size = parse(text).round_up()
    if size <= 0:
        raise ValueError(f"{text!r} is not more than 0")
    return size


def _object_size(text: str) -> int:
    size = _size(text)
    if not SMALLEST_OBJECT <= size <= LARGEST_OBJECT or size & (size - 1):
        raise ValueError(f"{text!r} is not a power of two from 4Ki to 32Mi")
    return size


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError(f"{text!r} is not a whole number from 1")
    return int(text)


def _duration(text: str) -> int:
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text, re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is not a time: write 90s, 30m, 24h or 7d")
    return int(match[1]) * _UNITS[match[2] or "s"]
