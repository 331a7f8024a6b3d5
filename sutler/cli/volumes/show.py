"""One volume with all that is known of it: pure but for `look`."""

from sutler.cli.output import RefusedError, one_line
from sutler.cli.volumes.fetch import CephView, events, when
from sutler.cli.volumes.inventory import VolumeInventory, VolumeRow, key_of, rows
from sutler.kube.client import Client
from sutler.text import format_size
from sutler.typedefs import Json
from sutler.volumes.adoption_request import UNBOUND_UID
from sutler.volumes.locations import PoolLocation

_SHOWN_EVENTS = 10


def pick(facts: VolumeInventory, name: str) -> VolumeRow:
    """By the volume's name, or the claim's namespace/name."""
    found = [row for row in rows(facts) if name in {row.volume, row.claim}]
    # A claim may have left several volumes behind; the one that it has is what is meant.
    found.sort(key=lambda row: row.state not in {"Bound", "Growing", "Adopting"})
    if not found:
        raise RefusedError(
            f"{name}: no such volume of Sutler's, nor a claim that has or waits for one; see sutler volumes list"
        )
    return found[0]


async def happened(client: Client, row: VolumeRow, facts: VolumeInventory) -> list[Json]:
    namespace, _, claim = row.claim.partition("/")
    found = await events(client, claim, namespace) if claim else []
    found += await events(client, row.volume, "default") if row.volume else []
    return sorted(about(found, uids(row, facts)), key=when)


def uids(row: VolumeRow, facts: VolumeInventory) -> set[str]:
    """Of the row's claim and volume; empty: not known."""
    volumes = [one for one in (*facts.volumes, *facts.requests) if one["metadata"]["name"] == row.volume]
    bound = {(one["spec"].get("claimRef") or {}).get("uid") for one in volumes} - {None, UNBOUND_UID}
    named = {one["metadata"]["uid"] for one in facts.claims if key_of(one) == row.claim}
    # A volume that is kept knows which claim was its own; one of the same name that came later is another.
    return {one["metadata"]["uid"] for one in volumes} | (bound or named)


def about(found: list[Json], known: set[str]) -> list[Json]:
    """The events of these objects: an earlier claim of the same name may have left some, too."""
    said = ((one, (one.get("involvedObject") or {}).get("uid")) for one in found)
    return [one for one, uid in said if not uid or not known or uid in known]


def as_json(row: VolumeRow, facts: VolumeInventory, ceph: CephView, said: list[Json]) -> Json:
    volume = next((one for one in facts.volumes if one["metadata"]["name"] == row.volume), None)
    spec = volume["spec"] if volume else {}
    place, there = row.place, facts.image(volume) if volume else None
    where, name = (there[0], there[1]["name"]) if there else (None, "")
    if place and not there and not (volume and facts.looked_at(volume)):
        where, name = PoolLocation(place.cluster, place.pool, place.namespace), place.image
    image = ceph.image(where, name) if where else None
    failed = next((one["message"] for one in reversed(said) if one["reason"] == "VolumeFailedDelete"), None)
    hindered = {"message": failed} if row.state == "Deleting" and failed else {}
    return row.as_json() | hindered | {
        "reclaimPolicy": spec.get("persistentVolumeReclaimPolicy"),
        "accessModes": spec.get("accessModes") or [],
        "volumeMode": spec.get("volumeMode"),
        "mountOptions": spec.get("mountOptions") or [],
        "created": volume["metadata"]["creationTimestamp"] if volume else None,
        "details": image and {
            key: image[key] for key in ("id", "features", "object_size", "data_pool", "parent", "watchers", "metadata")
        } | {"snapshots": [one["name"] for one in image["snapshots"]]},
        "events": [
            {"type": one["type"], "reason": one["reason"], "message": one["message"], "count": one.get("count") or 1}
            for one in said[-_SHOWN_EVENTS:]
        ],
    }  # fmt: skip


def as_text(found: Json) -> str:
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
        ("Access", ", ".join([*found["accessModes"], *filter(None, [found["volumeMode"]])])),
    ]
    details = found["details"]
    if details:
        lines += [
            ("Features", ", ".join(details["features"])),
            ("Data pool", details["data_pool"]),
            ("Clone of", details["parent"]),
            ("In use at", ", ".join(details["watchers"]) or "nowhere"),
            ("Snapshots", ", ".join(details["snapshots"]) or "none"),
        ]
    text = [f"{label + ':':<16}{value}" for label, value in lines if value]
    text += ["Events:"] if found["events"] else []
    text += [
        f"  {one['type']:<8}{one['reason']}: {one_line(one['message'])}" + (f" (x{one['count']})" * (one["count"] > 1))
        for one in found["events"]
    ]
    return "\n".join(text)
