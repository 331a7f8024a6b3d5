"""The versions of everything that belongs to an installation, and their output. Pure: no I/O."""

import platform
from dataclasses import dataclass, field

from sutler import well_known
from sutler.cli.output import columns, one_line
from sutler.typedefs import Json

HEADINGS = ("PROCESS", "POD", "READY", "IMAGE")


@dataclass
class ServerVersions:
    kubernetes: str = ""
    """The API server's version; empty if it did not answer."""
    crds: list[Json] = field(default_factory=list)
    """CustomResourceDefinitions of Sutler's group."""
    pods: list[Json] = field(default_factory=list)
    """Sutler's Pods."""
    unread: list[str] = field(default_factory=list)
    """What could not be read."""


def as_json(client: str, server: ServerVersions, problem: str) -> Json:
    return {
        "client": {"version": client, "python": platform.python_version()},
        "server": {"kubernetes": server.kubernetes} if server.kubernetes else None,
        "problem": problem or None,
        "crds": [_crd(each) for each in server.crds],
        "processes": [row for each in server.pods for row in _containers(each)],
        "unread": server.unread,
    }


def as_text(client: str, server: ServerVersions, problem: str) -> str:
    shown = as_json(client, server, problem)
    lines = [f"client       sutler {client} (Python {shown['client']['python']})"]
    lines += [f"kubernetes   {one_line(server.kubernetes) or problem}"]
    lines += [f"crd          {each['name']} {_crd_versions(each)}" for each in shown["crds"]]
    lines += [f"unknown      {each} could not be read" for each in server.unread]
    if server.kubernetes and not server.crds and not server.unread:
        lines.append("crd          none: Sutler is not installed in this cluster")
    if shown["processes"]:
        rows = [(row["process"], row["pod"], str(row["ready"]).lower(), row["image"]) for row in shown["processes"]]
        lines += ["", columns(HEADINGS, [tuple(one_line(cell) for cell in row) for row in rows])]
    return "\n".join(lines)


def _crd_versions(crd: Json) -> str:
    stored = ", ".join(crd["stored"])
    return f"{', '.join(crd['served'])} (stored: {stored})" if stored and crd["stored"] != crd["served"] else stored


def _crd(obj: Json) -> Json:
    versions: list[Json] = obj["spec"].get("versions") or []
    return {
        "name": obj["metadata"]["name"],
        "served": [each["name"] for each in versions if each.get("served")],
        "stored": (obj.get("status") or {}).get("storedVersions") or [],
    }


def _containers(pod: Json) -> list[Json]:
    """One row for each container. The status names the image that runs; before that there is only the wanted one."""
    metadata, statuses = pod["metadata"], (pod.get("status") or {}).get("containerStatuses") or []
    running = {each["name"]: each for each in statuses}
    return [
        {
            "process": (metadata.get("labels") or {}).get(well_known.COMPONENT) or "",
            "pod": metadata["name"],
            "container": container["name"],
            "image": (running.get(container["name"]) or {}).get("image") or container.get("image") or "",
            "imageID": (running.get(container["name"]) or {}).get("imageID") or "",
            "ready": bool((running.get(container["name"]) or {}).get("ready")),
        }
        for container in pod["spec"]["containers"]
    ]
