"""Watches the API objects that the controller needs, and reports which volumes each change concerns."""

from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

from provisioner.volumes import cache_entries
from provisioner.volumes.cache_entries import CachedAttachment, CachedClaim, CachedClass, CachedVolume
from provisioner.volumes.planning.data_source import CLAIM
from sutler.kube.client import Client
from sutler.kube.reflector import ObjectChange, Reflector
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES, VOLUME_ATTACHMENTS

Listener = Callable[[str], None]


class VolumeInformers:
    def __init__(self, client: Client) -> None:
        self._classes = Reflector(client, STORAGE_CLASSES, transform=cache_entries.class_entry)
        self._claims = Reflector(client, PERSISTENT_VOLUME_CLAIMS, transform=cache_entries.claim_entry)
        self._volumes = Reflector(client, PERSISTENT_VOLUMES, transform=cache_entries.volume_entry)
        self._attachments = Reflector(client, VOLUME_ATTACHMENTS, transform=cache_entries.attachment_entry)
        self._reflectors: dict[str, Reflector[Any]] = {
            "classes": self._classes,
            "claims": self._claims,
            "volumes": self._volumes,
            "attachments": self._attachments,
        }
        self._claims_by_volume: dict[str, str] = {}
        """namespace/name of the claim by the name of the volume that it has, or would get."""
        self._attached: defaultdict[str, dict[str, CachedAttachment]] = defaultdict(dict)
        """VolumeAttachments by volume and by their own name."""
        self._adoptions: dict[str, set[str]] = {}
        """Names of adoption requests by namespace/name of their claim."""
        self._claims_by_source: defaultdict[str, set[str]] = defaultdict(set)
        """Keys of the claims without a volume by kind/namespace/name of their data source."""
        self._claim_totals: Counter[str] = Counter()
        """The number of claims by namespace."""
        self._volumeless: defaultdict[str, set[str]] = defaultdict(set)
        """By namespace: the claims for which no volume exists."""
        self._on_source: Listener | None = None
        self._on_volume: Listener | None = None
        self._on_class: Listener | None = None
        self._classes.subscribe(self._class_changed)
        self._claims.subscribe(self._claim_changed)
        self._volumes.subscribe(self._volume_changed)
        self._attachments.subscribe(self._attachment_changed)

    def tasks(self) -> list[tuple[str, Coroutine[Any, Any, Any]]]:
        """Returns the tasks of the watches, which run as long as the process."""
        return [(f"watch {name}", reflector.run()) for name, reflector in self._reflectors.items()]

    def set_listeners(self, on_volume: Listener | None, on_class: Listener | None) -> None:
        """Sets the callbacks for volumes that have changed, or whose claim has, and for changed StorageClasses."""
        self._on_volume, self._on_class = on_volume, on_class

    def set_source_listener(self, on_source: Listener | None) -> None:
        """Sets the callback for data sources (kind/namespace/name) that are claims, or whose waiting claims change."""
        self._on_source = on_source

    def has_waiting_claims(self, source: str) -> bool:
        """Whether claims without a volume are to be created from this source (kind/namespace/name)."""
        return source in self._claims_by_source

    def is_protected(self, key: str) -> bool:
        """Whether the claim (namespace/name) has the finalizer that protects it while it is cloned."""
        claim = self._claims.store.get(key)
        return claim is not None and claim.protected

    def protected_claims(self) -> list[str]:
        """Returns kind/namespace/name of the claims with that finalizer."""
        return [f"{CLAIM}/{key}" for key, claim in self._claims.store.items() if claim.protected]

    def notify_source(self, source: str) -> None:
        """Notifies that the source (kind/namespace/name) has changed: claims may wait for it."""
        claims = [self._claims.store.get(key) for key in self._claims_by_source.get(source, ())]
        self._notify([claim.volume_key for claim in claims if claim is not None])

    def sync_problem(self) -> str | None:
        """For the readiness check: which watches have no complete list yet."""
        waiting = [name for name, reflector in self._reflectors.items() if not reflector.synced]
        return f"waiting for the first list of {', '.join(waiting)}" if waiting else None

    async def wait_synced(self) -> None:
        for reflector in self._reflectors.values():
            await reflector.wait_synced()

    @property
    def classes(self) -> Mapping[str, CachedClass]:
        return self._classes.store

    @property
    def claims(self) -> Mapping[str, CachedClaim]:
        """Claims by namespace/name."""
        return self._claims.store

    @property
    def volumes(self) -> Mapping[str, CachedVolume | None]:
        """All PersistentVolumes by name; None for those that are not Sutler's."""
        return self._volumes.store

    def claim_of(self, volume: str) -> tuple[str, CachedClaim] | None:
        """Returns the claim that has the volume, or would get one of that name, after its namespace/name."""
        key = self._claims_by_volume.get(volume)
        claim = self._claims.store.get(key) if key is not None else None
        return (key, claim) if key is not None and claim is not None else None

    def count_claims(self, namespace: str) -> tuple[int, int]:
        """Returns for how many claims of the namespace no volume exists, and how many others there are."""
        waiting = len(self._volumeless.get(namespace, ()))
        return waiting, self._claim_totals[namespace] - waiting

    def is_surely_absent(self, volume: str, version: str) -> bool:
        """Whether no volume of that name existed at this resourceVersion, nor does now as far as the watch shows."""
        return volume not in self._volumes.store and self._volumes.has_seen(version)

    def attachments(self, volume: str) -> list[CachedAttachment]:
        """Returns the VolumeAttachments that refer to the volume."""
        return list(self._attached[volume].values()) if volume in self._attached else []

    def is_awaiting_adoption(self, key: str) -> bool:
        """Whether an image is to be adopted for the claim (namespace/name): then no new one is provisioned."""
        return key in self._adoptions

    def volume_names(self) -> Iterator[str]:
        """Returns the names of all volumes of Sutler's, and of those that claims would get."""
        yield from list(self._claims_by_volume)
        yield from (name for name, cached in list(self._volumes.store.items()) if cached is not None)

    def volumes_of_class(self, name: str) -> Iterator[str]:
        """Returns the names of the volumes that unbound claims of the class would get."""
        for claim in list(self._claims.store.values()):
            if claim.storage_class == name and not claim.volume:
                yield claim.volume_key

    def _claim_changed(self, change: ObjectChange[CachedClaim]) -> None:
        volumes = [claim.volume_key for claim in (change.old, change.new) if claim is not None]
        if change.old is not None and self._claims_by_volume.get(change.old.volume_key) == change.key:
            del self._claims_by_volume[change.old.volume_key]
        if change.new is not None:
            self._claims_by_volume[change.new.volume_key] = change.key
        self._claim_totals[change.key.partition("/")[0]] += (change.new is not None) - (change.old is not None)
        self._record_volumeless(change.key)
        self._notify([*volumes, *self._adoptions.get(change.key, ())])
        self._record_source(change)

    def _record_volumeless(self, key: str) -> None:
        """Records whether a volume exists for the claim `key` (namespace/name)."""
        namespace, claim = key.partition("/")[0], self._claims.store.get(key)
        if claim is not None and not claim.volume and claim.volume_key not in self._volumes.store:
            self._volumeless[namespace].add(key)
            return
        self._volumeless[namespace].discard(key)
        if not self._volumeless[namespace]:
            del self._volumeless[namespace]

    def _record_source(self, change: ObjectChange[CachedClaim]) -> None:
        before, after = (claim.source if claim is not None else "" for claim in (change.old, change.new))
        if before and before != after:
            self._claims_by_source[before].discard(change.key)
            if not self._claims_by_source[before]:
                del self._claims_by_source[before]
        if after:
            self._claims_by_source[after].add(change.key)
        own = f"{CLAIM}/{change.key}"
        self.notify_source(own)
        is_protected = change.new is not None and change.new.protected
        if self._on_source is not None:
            for source in filter(None, {before, own if is_protected else ""}):
                self._on_source(source)

    def _volume_changed(self, change: ObjectChange[CachedVolume | None]) -> None:
        if (key := self._claims_by_volume.get(change.key)) is not None:
            self._record_volumeless(key)
        before, after = (cached.adopting_claim if cached else "" for cached in (change.old, change.new))
        if before == after:
            self._notify([change.key])
            return
        if before:
            self._adoptions[before].discard(change.key)
            if not self._adoptions[before]:
                del self._adoptions[before]
        if after:
            self._adoptions.setdefault(after, set()).add(change.key)
        volumes = [claim.volume_key for key in (before, after) if (claim := self._claims.store.get(key)) is not None]
        self._notify([change.key, *volumes])

    def _attachment_changed(self, change: ObjectChange[CachedAttachment]) -> None:
        if change.old is not None:
            self._attached[change.old.volume].pop(change.key, None)
            if not self._attached[change.old.volume]:
                del self._attached[change.old.volume]
        if change.new is not None and change.new.volume:
            self._attached[change.new.volume][change.key] = change.new
        self._notify([one.volume for one in (change.old, change.new) if one is not None and one.volume])

    def _class_changed(self, change: ObjectChange[CachedClass]) -> None:
        if self._on_class is not None:
            self._on_class(change.key)

    def _notify(self, volumes: list[str]) -> None:
        if self._on_volume is not None:
            for volume in dict.fromkeys(volumes):
                self._on_volume(volume)
