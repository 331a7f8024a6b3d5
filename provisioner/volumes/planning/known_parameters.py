"""The parameters that StorageClasses have, ours and others', and what becomes of each: pure.

Classes written for ceph-csi, and for the provisioners kubernetes.io/rbd and ceph.com/rbd, are to work as they stand. So
what asks for nothing else than what is done anyway is accepted. What would make another volume, and is not done, is
refused with the reason.
"""

import difflib
from collections.abc import Mapping

from provisioner.volumes.planning.class_annotations import MUTABLE
from sutler.volumes.storage_class import FALSE, TRUE

CSI_PREFIX = "csi.storage.k8s.io/"
FSTYPE = CSI_PREFIX + "fstype"
FSTYPE_ALIAS = "fsType"
"""Of the in-tree provisioner, and of the CSI external-provisioner once."""

SERVED = {
    "clusterID", "pool", "dataPool", "radosNamespace", "objectSize", "stripeUnit", "stripeCount", "volumeSource",
    "journal", "csiDriver", "userId", "monitors", "userSecretName", "userSecretNamespace", "volumeNamePrefix",
    "mkfsOptions", "tryOtherMounters", "cephLogDir", "cephLogStrategy", FSTYPE, *MUTABLE,
}  # fmt: skip
"""Those that make a difference."""
PASSED_ON = (
    "mounter",
    "mapOptions",
    "unmapOptions",
    "tryOtherMounters",
    "mkfsOptions",
    "cephLogDir",
    "cephLogStrategy",
)
"""Meant for ceph-csi's node plugin, which reads them from the volume."""
UNUSED = {
    "adminId", "adminSecretName", "adminSecretNamespace", "snapshotNamePrefix", "multiNodeWritable", "extraDeploy",
    "encryptionKMSID", "encryptionType", "encryptionSectorSize", "encryptionCipher", "encryptionKeySize",
    "integrityMode", "imageFormat", "journalPool",
}  # fmt: skip
"""Accepted: Sutler has its own Ceph user, and ceph-csi, too, uses those of encryption only where it is on."""
_BOOLEANS = {
    "encrypted": "encryption is not served, and the data would lie there unencrypted",
    "thickProvision": "thick provisioning is not served, and the space would not be reserved",
}
_REFUSED = {
    "topologyConstrainedPools": "pools by topology are not served; make a class for each pool",
    **dict.fromkeys(
        ("maxReadIops", "maxWriteIops", "maxReadBps", "maxWriteBps", "MaxReadBytesPerSecond", "MaxWriteBytesPerSecond",
         "baseReadIops", "baseWriteIops", "baseReadBytesPerSecond", "baseWriteBytesPerSecond", "readIopsPerGiB",
         "writeIopsPerGiB", "readBpsPerGiB", "writeBpsPerGiB", "baseVolSizeBytes"),
        "limits of throughput are not served",
    ),
    **dict.fromkeys(("fsName", "kernelMountOptions", "fuseMountOptions"), "CephFS is not served, only RBD images are"),
    "monValueFromSecret": "monitors come from Sutler's own Ceph configuration",
}  # fmt: skip
_RENAMED = {
    "blockpool": "pool",
    "datablockpool": "dataPool",
    "clusternamespace": "clusterID",
    "user": "userId",
    "secretref": "userSecretName",
}
"""Other names for the same, of Rook's first volumes and of people's own classes."""
_MOST = 5
"""Unknown parameters named in a text."""
_OTHERWISE = "leave it away, or use ceph-csi's own provisioner for this class"
_NOTHING = {"", "[]", "{}", "null"}
_STRICT = {"pool", "volumeSource", "journal", "csiDriver", *MUTABLE} - {"imageFeatures", "mounter"}
"""Those for which an empty text is a mistake: for the others it is ceph-csi's way to leave one away."""

_KINDS = (
    "", "provisioner-", "controller-publish-", "controller-expand-", "controller-modify-", "node-stage-",
    "node-publish-", "node-expand-", "resizer-", "snapshotter-", "snapshotter-list-",
)  # fmt: skip
"""Of secrets; the first is the one for all of them. The nodes' is used, and the one for growth with the journal."""
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


def canonical(parameters: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The parameters by the names that are read here, and what is wrong with them.

    Upper and lower case are the same, as for the in-tree provisioner.
    """
    given: dict[str, str] = {}
    problems, unknown = [], []
    for key, value in parameters.items():
        name = _CANONICAL.get(key.lower())
        if name is None:
            unknown.append(key)
        elif given.setdefault(name, value) != value:
            problems.append(f"{key}: {name} is given twice, with other values: leave one away")
    problems += _not_done(given)
    for name in [name for name, value in given.items() if value == "" and name not in _STRICT]:
        del given[name]
    return given, problems + _unknown(unknown)


def _not_done(given: Mapping[str, str]) -> list[str]:
    problems = [f"{name}: {why}: {_OTHERWISE}" for name, why in _REFUSED.items() if given.get(name, "") not in _NOTHING]
    for name, why in _BOOLEANS.items():
        if given.get(name) in TRUE:
            problems.append(f"{name}: {why}: {_OTHERWISE}")
        elif given.get(name, "") not in {"", *FALSE}:
            problems.append(f"{name}: {given[name]!r} is neither true nor false")
    if given.get("imageFormat", "2") not in {"", "2"}:
        problems.append(f"imageFormat: {given['imageFormat']!r} can't be had, images are of format 2: leave it away")
    return problems


def _unknown(names: list[str]) -> list[str]:
    """The whole list of names is given once, and last: an event has no space for more."""
    problems, far = [], []
    for name in names:
        served = {one.lower(): one for one in SERVED | _SECRETS}
        meant = _RENAMED.get(name.lower(), "").lower()
        close = [meant] if meant else difflib.get_close_matches(name.lower(), served, n=1)
        if close:
            problems.append(f"unknown parameter {name}: did you mean {served[close[0]]}? else leave it away")
        else:
            far.append(name)
    if far:
        more = f" and {len(far) - _MOST} more" if len(far) > _MOST else ""
        problems.append(
            f"unknown parameter {', '.join(far[:_MOST])}{more}: leave it away; known are {', '.join(sorted(SERVED))}"
        )
    return problems
