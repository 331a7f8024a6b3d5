"""The parameters of StorageClasses, Sutler's and those of other provisioners. Pure: no I/O.

Classes written for ceph-csi, and for the provisioners kubernetes.io/rbd and ceph.com/rbd, work without a change where
possible. A parameter of another provisioner is accepted if it makes no difference to the volume. If it would, and
Sutler does not serve it, the class is rejected with the reason.
"""

import difflib
from collections.abc import Mapping

from provisioner.volumes.planning.class_annotations import MUTABLE
from sutler.volumes.limits import METADATA_KEYS
from sutler.volumes.served_classes import FALSE, TRUE

CSI_PREFIX = "csi.storage.k8s.io/"
FSTYPE = CSI_PREFIX + "fstype"
FSTYPE_ALIAS = "fsType"
"""The name that the in-tree provisioner uses, and that the CSI external-provisioner used earlier."""

SERVED = {
    "clusterID", "pool", "dataPool", "radosNamespace", "objectSize", "stripeUnit", "stripeCount", "volumeSource",
    "journal", "csiDriver", "userId", "monitors", "userSecretName", "userSecretNamespace", "volumeNamePrefix",
    "mkfsOptions", "tryOtherMounters", "cephLogDir", "cephLogStrategy", FSTYPE, *MUTABLE,
}  # fmt: skip
"""Parameters that have an effect."""
PASSED_ON = (
    "mounter",
    "mapOptions",
    "unmapOptions",
    "tryOtherMounters",
    "mkfsOptions",
    "cephLogDir",
    "cephLogStrategy",
)
"""Parameters that are copied into the volume, where ceph-csi's node plugin reads them."""
UNUSED = {
    "adminId", "adminSecretName", "adminSecretNamespace", "snapshotNamePrefix", "multiNodeWritable", "extraDeploy",
    "encryptionKMSID", "encryptionType", "encryptionSectorSize", "encryptionCipher", "encryptionKeySize",
    "integrityMode", "imageFormat", "journalPool",
}  # fmt: skip
"""Parameters that are accepted without effect: Sutler has its own Ceph user, and `encrypted` is checked alone."""
_BOOLEANS = {
    "encrypted": "Sutler does not serve encryption, and the data would be stored unencrypted",
    "thickProvision": "Sutler does not serve thick provisioning, and the space would not be reserved",
}
_REFUSED = {
    "topologyConstrainedPools": "Sutler does not serve pools by topology; create a class for each pool",
    **dict.fromkeys(
        ("MaxReadBytesPerSecond", "MaxWriteBytesPerSecond", "baseReadIops", "baseWriteIops", "baseReadBytesPerSecond",
         "baseWriteBytesPerSecond", "readIopsPerGiB", "writeIopsPerGiB", "readBpsPerGiB", "writeBpsPerGiB",
         "baseVolSizeBytes"),
        f"Sutler serves the limits {', '.join(METADATA_KEYS)} alone",
    ),
    **dict.fromkeys(("fsName", "kernelMountOptions", "fuseMountOptions"), "Sutler serves RBD images only, not CephFS"),
    "monValueFromSecret": "Sutler reads the monitors from its own Ceph configuration",
}  # fmt: skip
_RENAMED = {
    "blockpool": "pool",
    "datablockpool": "dataPool",
    "clusternamespace": "clusterID",
    "user": "userId",
    "secretref": "userSecretName",
}
"""Other names of parameters, from Rook's first volumes and from classes in use, in lower case."""
_MOST_NAMED = 5
"""The most unknown parameters that a message names."""
_FIX = "remove it, or use ceph-csi's own provisioner for this class"
_UNSET = {"", "[]", "{}", "null"}
_STRICT = {"pool", "volumeSource", "journal", "csiDriver", *MUTABLE} - {"imageFeatures", "mounter"}
"""Parameters for which an empty value is a mistake. For all others it means the default, as in ceph-csi."""

_KINDS = (
    "", "provisioner-", "controller-publish-", "controller-expand-", "controller-modify-", "node-stage-",
    "node-publish-", "node-expand-", "resizer-", "snapshotter-", "snapshotter-list-",
)  # fmt: skip
"""Uses of Secrets in parameter names; the empty one means all uses. Only node-stage, node-publish and, with the
journal, controller-expand have an effect."""
_DEPRECATED = {
    f"csi{kind.title().replace('-', '')}Secret{part.title()}": f"{CSI_PREFIX}{kind}secret-{part}"
    for kind in ("provisioner-", "controller-publish-", "node-stage-", "node-publish-")
    for part in ("name", "namespace")
}
_SECRETS = {f"{CSI_PREFIX}{kind}secret-{part}" for kind in _KINDS for part in ("name", "namespace")}
_CANONICAL = (
    {name.lower(): name for name in (*SERVED, *UNUSED, *_BOOLEANS, *_REFUSED, *_SECRETS)}
    | {old.lower(): new for old, new in _DEPRECATED.items()}
    | {FSTYPE_ALIAS.lower(): FSTYPE}
)


def is_known(name: str) -> bool:
    """Whether a class can have the parameter, served or not. Its value then is no password: names refer to Secrets."""
    return name.lower() in _CANONICAL


def canonical_parameters(parameters: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Returns the parameters by their canonical names, and the problems.

    Names are case-insensitive, as for the in-tree provisioner.
    """
    given: dict[str, str] = {}
    problems, unknown = [], []
    for key, value in parameters.items():
        name = _CANONICAL.get(key.lower())
        if name is None:
            unknown.append(key)
        elif given.setdefault(name, value) != value:
            problems.append(f"{key}: {name} is given twice, with different values: remove one")
    problems += _unserved(given)
    for name in [name for name, value in given.items() if value == "" and name not in _STRICT]:
        del given[name]
    return given, problems + _unknown(unknown)


def _unserved(given: Mapping[str, str]) -> list[str]:
    problems = [f"{name}: {why}: {_FIX}" for name, why in _REFUSED.items() if given.get(name, "") not in _UNSET]
    for name, why in _BOOLEANS.items():
        if given.get(name) in TRUE:
            problems.append(f"{name}: {why}: {_FIX}")
        elif given.get(name, "") not in {"", *FALSE}:
            problems.append(f"{name}: {given[name]!r} is neither true nor false")
    if given.get("imageFormat", "2") not in {"", "2"}:
        problems.append(f"imageFormat: {given['imageFormat']!r} is not served, images have format 2: remove it")
    return problems


def _unknown(names: list[str]) -> list[str]:
    """Names similar parameters; the full list comes once, and last, since an event has little space."""
    problems, far = [], []
    for name in names:
        served = {one.lower(): one for one in SERVED | _SECRETS}
        meant = _RENAMED.get(name.lower(), "").lower()
        close = [meant] if meant else difflib.get_close_matches(name.lower(), served, n=1)
        if close:
            problems.append(f"unknown parameter {name}: did you mean {served[close[0]]}? otherwise remove it")
        else:
            far.append(name)
    if far:
        more = f" and {len(far) - _MOST_NAMED} more" if len(far) > _MOST_NAMED else ""
        problems.append(
            f"unknown parameter {', '.join(far[:_MOST_NAMED])}{more}: remove it; known are {', '.join(sorted(SERVED))}"
        )
    return problems
