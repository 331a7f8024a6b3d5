"""What a support dump holds, and its summary. Pure: no I/O."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from sutler.cli.support.scrubber import scrub, scrub_text
from sutler.typedefs import Json

CONTAINS = "names of namespaces, claims, images, registries and Secrets"
"""What a reader of a dump learns besides Sutler's state."""


@dataclass
class SupportDump:
    files: dict[str, str] = field(default_factory=dict)
    """Texts by their paths in the dump, without credentials."""
    unread: dict[str, str] = field(default_factory=dict)
    """Reasons by what could not be read."""
    absent: dict[str, str] = field(default_factory=dict)
    """Reasons by what does not exist, such as the log of a container that has not started."""

    def add_objects(self, name: str, objects: Iterable[Json]) -> None:
        """Adds a file that kubectl and other tools read."""
        listed = {"apiVersion": "v1", "kind": "List", "items": [scrub(each) for each in objects]}
        self.files[f"objects/{name}.json"] = json.dumps(listed, indent=1)

    def add_log(self, pod: str, container: str, text: str, *, previous: bool) -> None:
        self.files[f"logs/{pod}/{container}{'.previous' if previous else ''}.log"] = scrub_text(text)

    def add_versions(self, versions: Json) -> None:
        self.files["versions.json"] = json.dumps(scrub(versions), indent=1)

    def finish(self, taken_at: str) -> None:
        """Adds the summary."""
        summary = {"takenAt": taken_at, "unread": self.unread, "absent": self.absent, "files": sorted(self.files)}
        self.files["summary.json"] = json.dumps(scrub(summary), indent=1)
