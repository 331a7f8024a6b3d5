"""The output of `sutler volumes show`: one volume with its image and its events."""

from sutler import well_known
from sutler.cli.exit_codes import RefusedError
from sutler.cli.output import one_line
from sutler.cli.volumes.fetch import CephView, event_time
from sutler.cli.volumes.fetch import list_events as list_object_events
from sutler.cli.volumes.inventory import VolumeInventory, VolumeRow, claim_name, parked_rows, rows
from sutler.kube.client import Client
from sutler.text import format_size
from sutler.typedefs import Json
from sutler.volumes.adoption_request import UNBOUND_UID
from sutler.volumes.limits import limits_in_metadata, parse_limits, render_limits
from sutler.volumes.locations import PoolLocation

_MAX_EVENTS = 10


def find_row(inventory: VolumeInventory, ceph: CephView, name: str) -> VolumeRow:
    """The row of a volume's name, or of a claim's namespace/name, or of a parked image. Raises RefusedError."""
    found = find_volume_row(inventory, name) or _find_parked_row(inventory, ceph, name)
    if found is None:
        raise RefusedError(
            f"{name}: no such volume of Sutler's, no claim of this name with one, and no parked image of either; see "
            f"sutler volumes list{'' if inventory.images else ' (parked images are known with the REST API only)'}"
        )
    return found


def _find_parked_row(inventory: VolumeInventory, ceph: CephView, name: str) -> VolumeRow | None:
    """The row of a parked image of this Kubernetes cluster, by its path, its former claim or its former volume."""
    for row in parked_rows(inventory):
        place = row.place
        if place is None or name not in {row.claim, row.volume, place.path}:
            continue
        image = ceph.image(place.pool_location, place.image)
        if image is not None and image["metadata"].get(well_known.KUBERNETES) == inventory.kubernetes:
            return row
    return None


def find_volume_row(inventory: VolumeInventory, name: str) -> VolumeRow | None:
    """The row of a volume's name, or of a claim's namespace/name; None if there is neither."""
    found = [row for row in rows(inventory) if name in {row.volume, row.claim}]
    # A claim may have several former volumes; its current one comes first.
    found.sort(key=lambda row: row.state not in {"Bound", "Growing", "Adopting"})
    return found[0] if found else None


async def list_events(client: Client, row: VolumeRow, inventory: VolumeInventory) -> list[Json]:
    """Events of the row's claim and volume, oldest first."""
    namespace, _, claim = row.claim.partition("/")
    found = await list_object_events(client, claim, namespace) if claim else []
    found += await list_object_events(client, row.volume, "default") if row.volume else []
    return sorted(events_of(found, uids(row, inventory)), key=event_time)


def uids(row: VolumeRow, inventory: VolumeInventory) -> set[str]:
    """UIDs of the row's claim and volume; empty if they are unknown."""
    volumes = [one for one in (*inventory.volumes, *inventory.requests) if one["metadata"]["name"] == row.volume]
    bound = {(one["spec"].get("claimRef") or {}).get("uid") for one in volumes} - {None, UNBOUND_UID}
    named = {one["metadata"]["uid"] for one in inventory.claims if claim_name(one) == row.claim}
    # A kept volume names its former claim by UID; a later claim of the same name is another one.
    return {one["metadata"]["uid"] for one in volumes} | (bound or named)


def events_of(found: list[Json], known: set[str]) -> list[Json]:
    """The events of objects with these UIDs: a former claim of the same name may have events, too."""
    uids_of = ((one, (one.get("involvedObject") or {}).get("uid")) for one in found)
    return [one for one, uid in uids_of if not uid or not known or uid in known]


def as_json(row: VolumeRow, inventory: VolumeInventory, ceph: CephView, events: list[Json]) -> Json:
    volume = next((one for one in inventory.volumes if one["metadata"]["name"] == row.volume), None)
    spec, annotations = (volume["spec"], volume["metadata"].get("annotations") or {}) if volume else ({}, {})
    place, there = row.place, inventory.image(volume) if volume else None
    where, name = (there[0], there[1]["name"]) if there else (None, "")
    if place and not there and not (volume and inventory.has_read_images(volume)):
        where, name = PoolLocation(place.cluster, place.pool, place.namespace), place.image
    image = ceph.image(where, name) if where else None
    failed = next((one.get("message") for one in reversed(events) if one.get("reason") == "VolumeFailedDelete"), None)
    blocked = {"message": failed} if row.state == "Deleting" and failed else {}
    return row.as_json() | blocked | {
        "reclaimPolicy": spec.get("persistentVolumeReclaimPolicy"),
        "accessModes": spec.get("accessModes") or [],
        "volumeMode": spec.get("volumeMode"),
        "mountOptions": spec.get("mountOptions") or [],
        "created": volume["metadata"]["creationTimestamp"] if volume else None,
        "attributesClass": spec.get("volumeAttributesClassName"),
        "modification": _modification(row, inventory),
        "limits": _limits(volume, image),
        "flattening": annotations.get(well_known.FLATTEN_POLICY) == "async",
        "details": image and _details(image),
        "events": [
            {key: one.get(key) or "" for key in ("type", "reason", "message")} | {"count": one.get("count") or 1}
            for one in events[-_MAX_EVENTS:]
        ],
    }  # fmt: skip


def _details(image: Json) -> Json:
    keys = ("id", "features", "object_size", "data_pool", "parent", "watchers", "metadata")
    return {key: image[key] for key in keys} | {
        "snapshots": [one["name"] for one in image["snapshots"]],
        # A REST API of an older version has none of these.
        "clones": [child for one in image["snapshots"] for child in one.get("children", ())],
        "otherSnapshots": image.get("other_snapshots", []),
        "parked": image.get("parked"),
        "mirroring": image.get("mirroring"),
    }


def _parent(parent: str | None, *, flattening: bool) -> str | None:
    return f"{parent} (being flattened)" if parent and flattening else parent


def _mirroring(found: Json | None) -> str | None:
    if not found:
        return None
    primary = "primary" if found["primary"] else "not primary: only mirroring changes it"
    return f"by {found['mode']}, {found['state']}, {primary}"


def _modification(row: VolumeRow, inventory: VolumeInventory) -> Json | None:
    """The VolumeAttributesClass that the claim requests and does not have, and the state of that."""
    claim = next((one for one in inventory.claims if row.claim == claim_name(one)), None)
    if claim is None or claim["spec"].get("volumeName") != row.volume:
        return None
    status: Json = claim.get("status") or {}
    state = status.get("modifyVolumeStatus") or {}
    target = state.get("targetVolumeAttributesClassName") or claim["spec"].get("volumeAttributesClassName")
    if not target or (not state and target == status.get("currentVolumeAttributesClassName")):
        return None
    return {"class": target, "status": state.get("status") or "Pending"}


def _limits(volume: Json | None, image: Json | None) -> dict[str, int]:
    """The limits that the image has; without the REST API, those that the volume records."""
    if image is not None:
        return limits_in_metadata(image["metadata"])
    annotations = (volume["metadata"].get("annotations") or {}) if volume is not None else {}
    return parse_limits(annotations.get(well_known.LIMITS, ""))


def as_text(found: Json) -> str:
    modification = found["modification"]
    lines = [
        ("Claim", found["claim"]),
        ("Volume", found["volume"]),
        ("State", f"{found['state']}{': ' + one_line(found['message']) if found['message'] else ''}"),
        ("Class", found["class"]),
        ("Image", found["image"]),
        ("Cluster", found["clusterID"]),
        ("Size", f"{format_size(found['size'])} ({found['size']} bytes)" if found["size"] else None),
        ("Used", None if found["used"] is None else f"{format_size(found['used'])} ({found['used']} bytes)"),
        ("Reclaim policy", found["reclaimPolicy"]),
        ("Mount options", ", ".join(found["mountOptions"])),
        ("Attributes", found["attributesClass"]),
        ("Requested", f"{modification['class']}: {modification['status']}" if modification else None),
        ("Limits", render_limits(found["limits"]).replace(",", ", ")),
        ("Access", ", ".join([*found["accessModes"], *filter(None, [found["volumeMode"]])])),
    ]
    details = found["details"]
    if details:
        lines += [
            ("Features", ", ".join(details["features"])),
            ("Data pool", details["data_pool"]),
            ("Clone of", _parent(details["parent"], flattening=found["flattening"])),
            ("Watchers", ", ".join(details["watchers"]) or "none"),
            ("Snapshots", ", ".join(details["snapshots"]) or "none"),
            ("Clones", ", ".join(details["clones"])),
            ("Mirroring", _mirroring(details["mirroring"])),
        ]
    text = [f"{label + ':':<16}{value}" for label, value in lines if value]
    text += ["Events:"] if found["events"] else []
    text += [
        f"  {one['type']:<8}{one['reason']}: {one_line(one['message'])}" + (f" (x{one['count']})" * (one["count"] > 1))
        for one in found["events"]
    ]
    return "\n".join(text)
