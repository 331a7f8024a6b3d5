"""Parses a StorageClass. Pure: no I/O.

Parameters have the names that users of ceph-csi know. The parameters of a StorageClass are immutable. Those that may
change without harm to existing volumes can also be set, and overridden, by `sutler.dev/NAME` annotations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from provisioner.ceph.model import DEFAULT_OBJECT
from provisioner.volumes.planning import class_annotations, image_name, known_parameters, parameter_values
from provisioner.volumes.planning.attributes_class import NBD, effective_limits, read_limits, unlimitable
from provisioner.volumes.planning.known_parameters import FSTYPE, PASSED_ON, SERVED
from provisioner.volumes.planning.parameter_values import ParameterReader
from provisioner.volumes.planning.secret_templates import SecretReference
from provisioner.volumes.planning.trash_delay import DEFAULT_TRASH_DELAY, DELETION_POLICIES
from sutler import well_known
from sutler.errors import SutlerError
from sutler.typedefs import Json
from sutler.volumes.limits import Limits
from sutler.volumes.locations import CSI_DRIVER
from sutler.volumes.served_classes import FALSE, FILESYSTEMS, TRUE, volume_source

VOLUME_SOURCES = ("csi", "rbd")
JOURNALS = ("none", "ceph-csi")
FLATTEN_POLICIES = ("none", "async")
_JOURNAL_TEMPLATE = "csi-vol-{uid}"
_LONGEST = 1000
"""Bytes of the problems of one class: with the number of further ones, they fit into an event."""


class ClassError(SutlerError):
    """Lists all problems of a StorageClass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeClass:
    name: str
    provisioner: str
    cluster: str = ""
    """clusterID; empty: the only cluster."""
    pool: str
    namespace: str = ""
    """The RADOS namespace."""
    data_pool: str | None = None
    """The pool for the data of the images, if it is not `pool`."""
    features: tuple[str, ...] = ("layering",)
    object_size: int = DEFAULT_OBJECT
    """Bytes, as is stripe_unit."""
    stripe_unit: int | None = None
    stripe_count: int | None = None
    filesystem: str = "ext4"
    volume_source: str = "csi"
    driver: str = CSI_DRIVER
    """The name of ceph-csi's node plugin in this Kubernetes cluster; only for volumeSource csi."""
    monitors: tuple[str, ...] = ()
    """Addresses by which nodes reach the monitors; empty: those that Sutler uses. Only for volumeSource rbd."""
    secret: SecretReference | None = None
    """The Secret with which nodes map the image."""
    expand_secret: SecretReference | None = None
    """The Secret with which ceph-csi's controller resizes the image; only with the journal."""
    publish_secret: SecretReference | None = None
    """The Secret with which nodes read the image's limits."""
    user: str = "admin"
    """The Ceph user with which nodes map the image; only for volumeSource rbd."""
    limits: Limits = field(default_factory=dict)
    """Limits of input and output of the volumes."""
    options: tuple[tuple[str, str], ...] = ()
    """Parameters for ceph-csi's node plugin."""
    template: str = image_name.DEFAULT_TEMPLATE
    deletion_policy: str = "remove"
    journal: bool = False
    """Whether images get entries in ceph-csi's journal, so that its controller can resize, snapshot and clone them."""
    trash_delay: int = DEFAULT_TRASH_DELAY
    """Seconds for which an image can be restored; only for deletion policy trash."""
    flatten_policy: str = "none"
    """async: Sutler copies in the background what clones share with their parents."""
    reclaim_policy: str = "Delete"
    mount_options: tuple[str, ...] = ()
    waits_for_consumer: bool = False
    expandable: bool = False


def parse_class(obj: Json) -> VolumeClass:
    """Parses the class. Raises ClassError with all problems at once, each with the accepted values."""
    name, provisioner = obj["metadata"]["name"], obj["provisioner"]
    given, unknown = known_parameters.canonical_parameters(obj.get("parameters") or {})
    annotated, invalid = class_annotations.parse_annotations(obj, SERVED)
    given |= annotated
    reader = ParameterReader(given)
    source = volume_source(obj)
    result = VolumeClass(
        name=name,
        provisioner=provisioner,
        cluster=given.get("clusterID", ""),
        pool=reader.name("pool", required=True) or "",
        namespace=reader.name("radosNamespace") or "",
        data_pool=reader.name("dataPool"),
        features=reader.read("imageFeatures", parameter_values.features, ("layering",)),
        object_size=reader.read("objectSize", parameter_values.object_size, DEFAULT_OBJECT),
        stripe_unit=reader.read("stripeUnit", parameter_values.size, None),
        stripe_count=reader.read("stripeCount", parameter_values.count, None),
        filesystem=reader.one_of(FSTYPE, FILESYSTEMS),
        volume_source=source,
        # Rook and others prefix ceph-csi's name, for the provisioner and the node plugin alike.
        driver=reader.read(
            "csiDriver", parameter_values.driver, provisioner if provisioner.endswith(f".{CSI_DRIVER}") else CSI_DRIVER
        ),
        monitors=reader.read("monitors", parameter_values.monitors, ()),
        secret=_node_secret(given, reader, source),
        expand_secret=reader.secret("controller-expand-", ""),
        publish_secret=reader.secret("node-publish-"),
        limits=effective_limits(read_limits(reader)),
        user=given.get("userId") or given.get("adminId") or "admin",
        options=_options(given, reader),
        template=_template(given, reader),
        journal=reader.one_of("journal", JOURNALS) == "ceph-csi",
        deletion_policy=reader.one_of("deletionPolicy", DELETION_POLICIES),
        trash_delay=reader.read("trashDelay", parameter_values.duration, DEFAULT_TRASH_DELAY),
        flatten_policy=reader.one_of("flattenPolicy", FLATTEN_POLICIES),
        reclaim_policy=obj.get("reclaimPolicy") or "Delete",
        mount_options=tuple(obj.get("mountOptions") or ()),
        waits_for_consumer=obj.get("volumeBindingMode") == "WaitForFirstConsumer",
        expandable=bool(obj.get("allowVolumeExpansion")),
    )
    problems = unknown + invalid + reader.problems + _conflicts(result, given)
    if problems:
        raise ClassError(_join_problems(f"StorageClass {name}: ", problems))
    return result


def _join_problems(what: str, problems: list[str]) -> str:
    """Joins as many whole problems as fit into an event, so that none loses what to do about it."""
    kept = list(accumulate([what + problems[0], *problems[1:]], lambda text, problem: f"{text}; {problem}"))
    fit = max(1, sum(len(text.encode()) <= _LONGEST for text in kept))
    return kept[fit - 1] + (f"; and {len(problems) - fit} more" if fit < len(problems) else "")


def _conflicts(cls: VolumeClass, given: Mapping[str, str]) -> list[str]:
    problems = []
    if ("stripeUnit" in given) != ("stripeCount" in given):
        problems.append("stripeUnit and stripeCount belong together: set both or neither")
    elif cls.stripe_unit is not None and (cls.stripe_unit > cls.object_size or cls.object_size % cls.stripe_unit):
        problems.append(f"stripeUnit {cls.stripe_unit} does not divide objectSize {cls.object_size}")
    named = cls.template not in {image_name.DEFAULT_TEMPLATE, _JOURNAL_TEMPLATE}
    if cls.journal and (not cls.cluster or cls.volume_source != "csi" or named):
        problems.append("journal: ceph-csi requires a clusterID and volumeSource csi, and names the images itself")
    if given.get("journalPool", cls.pool) != cls.pool:
        problems.append(f"journalPool: Sutler writes the journal in {cls.pool}, where the images are: remove it")
    if cls.provisioner.startswith("kubernetes.io/") and cls.provisioner != "kubernetes.io/no-provisioner":
        problems.append(
            f"provisioner: Kubernetes itself also acts on claims of {cls.provisioner}: create a class with the same "
            f"parameters and provisioner {well_known.PROVISIONER}"
        )
    problems += _unmountable(cls, given)
    return problems + (_in_tree(cls, given) if cls.volume_source == "rbd" else _node_plugin(cls, given))


def _unmountable(cls: VolumeClass, given: Mapping[str, str]) -> list[str]:
    """Returns the problems of volumes that would be bound, and that no node could mount, or not as requested."""
    problems = []
    if cls.limits and (problem := unlimitable(cls.volume_source, given)):
        problems.append(f"{min(cls.limits)}: the class has {problem}: remove one of the two")
    if "ro" in ",".join(cls.mount_options).replace(" ", "").split(","):
        problems.append("mountOptions: with ro, no node can format a new, empty image: remove it")
    by_kernel = given.get("mounter") != NBD and given.get("tryOtherMounters") not in TRUE
    if "journaling" in cls.features and (by_kernel or cls.volume_source == "rbd"):
        problems.append(
            "imageFeatures: the kernel can't map images with journaling: remove it, or set mounter: rbd-nbd"
        )
    return problems


def _in_tree(cls: VolumeClass, given: Mapping[str, str]) -> list[str]:
    problems = []
    if cls.namespace:
        problems.append(
            "radosNamespace: in-tree rbd volumes do not support RADOS namespaces: remove it, or use volumeSource csi"
        )
    if cls.expandable and "adminSecretName" not in given:
        problems.append(
            "allowVolumeExpansion: Kubernetes itself resizes volumes of volumeSource rbd, and fails without "
            "adminSecretName and adminSecretNamespace: set them in a new class, or disable expansion: "
            f"kubectl patch storageclass {cls.name} -p '{{\"allowVolumeExpansion\":false}}'"
        )
    return problems


def _node_plugin(cls: VolumeClass, given: Mapping[str, str]) -> list[str]:
    problems = []
    if cls.volume_source not in VOLUME_SOURCES:
        problems.append(f"volumeSource: {cls.volume_source!r} is not one of {', '.join(VOLUME_SOURCES)}")
    if cls.monitors:
        problems.append(
            "monitors: ceph-csi's node plugin reads them from its own configuration: remove them and set clusterID, "
            "or set volumeSource: rbd"
        )
    if "userSecretName" in given:
        problems.append(
            f"userSecretName: ceph-csi's node plugin requires a Secret with userID and userKey: set "
            f"{known_parameters.CSI_PREFIX}node-stage-secret-name and -namespace"
        )
    return problems


def _node_secret(given: Mapping[str, str], reader: ParameterReader, source: str) -> SecretReference | None:
    found = reader.secret("node-stage-", "")
    if source != "rbd" or "userSecretName" not in given:
        return found
    if found is not None:
        reader.problems.append("userSecretName and a node-stage secret are both set: remove one")
    # Without a namespace the kubelet uses the Pod's, which is the claim's.
    in_tree = SecretReference(given["userSecretName"], given.get("userSecretNamespace", "${pvc.namespace}"))
    return reader.checked_secret("userSecretName", in_tree)


def _template(given: Mapping[str, str], reader: ParameterReader) -> str:
    if "volumeNamePrefix" not in given:
        return reader.read("imageNameTemplate", image_name.check_template, image_name.DEFAULT_TEMPLATE)
    if "imageNameTemplate" in given:
        reader.problems.append("volumeNamePrefix and imageNameTemplate both name the images: remove one")
    return reader.read("volumeNamePrefix", lambda prefix: image_name.check_template(prefix + "{uid}"), "")


def _options(given: Mapping[str, str], reader: ParameterReader) -> tuple[tuple[str, str], ...]:
    for name in ("mapOptions", "unmapOptions"):
        reader.read(name, parameter_values.map_options, "")
    if given.get("tryOtherMounters", "true") not in TRUE | FALSE:
        reader.problems.append(f"tryOtherMounters: {given['tryOtherMounters']!r} is neither true nor false")
    return tuple((name, given[name]) for name in PASSED_ON if given.get(name))
