"""What the API server tells us, kept small, and which volume each piece of news is about."""

from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

from provisioner.volumes import cache_entries
from provisioner.volumes.cache_entries import CachedAttachment, CachedClaim, CachedClass, CachedVolume
from sutler.kube.client import Client
from sutler.kube.reflector import ObjectChange, Reflector
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES, VOLUME_ATTACHMENTS

Listener = Callable[[str], None]


class VolumeInformers:
    def __init__(self, client: Client) -> None:
        self._classes = Reflector(client, STORAGE_CLASSES, keep=cache_entries.view_class)
        self._claims = Reflector(client, PERSISTENT_VOLUME_CLAIMS, keep=cache_entries.view_claim)
        self._volumes = Reflector(client, PERSISTENT_VOLUMES, keep=cache_entries.view_volume)
        self._attachments = Reflector(client, VOLUME_ATTACHMENTS, keep=cache_entries.view_attachment)
        self._reflectors: dict[str, Reflector[Any]] = {
            "classes": self._classes,
            "claims": self._claims,
            "volumes": self._volumes,
            "attachments": self._attachments,
        }
        self._claim_of: dict[str, str] = {}
        self._attached: defaultdict[str, dict[str, CachedAttachment]] = defaultdict(dict)
        self._adoptions: dict[str, set[str]] = {}
        self._on_volume: Listener | None = None
        self._on_class: Listener | None = None
        self._classes.subscribe(self._class_changed)
        self._claims.subscribe(self._claim_changed)
        self._volumes.subscribe(self._volume_changed)
        self._attachments.subscribe(self._attachment_changed)

    def tasks(self) -> list[tuple[str, Coroutine[Any, Any, Any]]]:
        """What has to run for as long as the process does."""
        return [(f"watch {name}", reflector.run()) for name, reflector in self._reflectors.items()]

    def listen(self, on_volume: Listener | None, on_class: Listener | None) -> None:
        """Who is told of every volume about which, or about whose claim, something has changed, and of every class."""
        self._on_volume, self._on_class = on_volume, on_class

    def not_synced(self) -> str | None:
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
        """By namespace/name."""
        return self._claims.store

    @property
    def volumes(self) -> Mapping[str, CachedVolume | None]:
        """All of them; None for one that is not ours."""
        return self._volumes.store

    def claim_of(self, volume: str) -> tuple[str, CachedClaim] | None:
        """The claim that has the volume, or would get one of that name; with its namespace/name."""
        key = self._claim_of.get(volume)
        view = self._claims.store.get(key) if key is not None else None
        return (key, view) if key is not None and view is not None else None

    def surely_absent(self, volume: str, version: str) -> bool:
        """Whether there is no volume of that name, unless it was made after this resourceVersion."""
        return volume not in self._volumes.store and self._volumes.has_seen(version)

    def attachments(self, volume: str) -> list[CachedAttachment]:
        """The VolumeAttachments that refer to it."""
        return list(self._attached[volume].values()) if volume in self._attached else []

    def awaits_adoption(self, key: str) -> bool:
        """Whether an image is to be adopted for the claim (namespace/name): then no new one is made."""
        return key in self._adoptions

    def everything(self) -> Iterator[str]:
        """All volumes, and those that claims would get."""
        yield from list(self._claim_of)
        yield from (name for name, view in list(self._volumes.store.items()) if view is not None)

    def of_class(self, name: str) -> Iterator[str]:
        """The volumes that unbound claims of the class would get."""
        for view in list(self._claims.store.values()):
            if view.storage_class == name and not view.volume:
                yield view.key

    def _claim_changed(self, change: ObjectChange[CachedClaim]) -> None:
        keys = [view.key for view in (change.old, change.new) if view is not None]
        if change.old is not None and self._claim_of.get(change.old.key) == change.key:
            del self._claim_of[change.old.key]
        if change.new is not None:
            self._claim_of[change.new.key] = change.key
        self._tell([*keys, *self._adoptions.get(change.key, ())])

    def _volume_changed(self, change: ObjectChange[CachedVolume | None]) -> None:
        before, after = (view.adopts if view else "" for view in (change.old, change.new))
        if before == after:
            self._tell([change.key])
            return
        if before:
            self._adoptions[before].discard(change.key)
            if not self._adoptions[before]:
                del self._adoptions[before]
        if after:
            self._adoptions.setdefault(after, set()).add(change.key)
        claims = [view.key for key in (before, after) if (view := self._claims.store.get(key)) is not None]
        self._tell([change.key, *claims])

    def _attachment_changed(self, change: ObjectChange[CachedAttachment]) -> None:
        if change.old is not None:
            self._attached[change.old.volume].pop(change.key, None)
            if not self._attached[change.old.volume]:
                del self._attached[change.old.volume]
        if change.new is not None and change.new.volume:
            self._attached[change.new.volume][change.key] = change.new
        self._tell([one.volume for one in (change.old, change.new) if one is not None and one.volume])

    def _class_changed(self, change: ObjectChange[CachedClass]) -> None:
        if self._on_class is not None:
            self._on_class(change.key)

    def _tell(self, volumes: list[str]) -> None:
        if self._on_volume is not None:
            for volume in dict.fromkeys(volumes):
                self._on_volume(volume)
