"""Where copies are needed: by Pods that wait for their images, and in namespaces with a label. Pure: no I/O.

A Pod is Pending from its creation until all of its images are there, also while it can't pull them. So the Pending Pods
are all that need a pull secret now, however long a watch was away. A copy that no Pending Pod has named for a while may
be collected, unless a Pod that is not finished names it: its containers may be restarted, and pull again.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from sutler import well_known
from sutler.typedefs import Json

PENDING = "status.phase=Pending"
UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"

Names = tuple[str, ...]


def pod_pull_secrets(pod: Json) -> Names:
    """The names in a Pod's imagePullSecrets: all that is kept of it."""
    named = (pod.get("spec") or {}).get("imagePullSecrets") or []
    return tuple(dict.fromkeys(str(each["name"]) for each in named if isinstance(each, dict) and each.get("name")))


def is_eager(namespace_labels: Mapping[str, str]) -> bool:
    return namespace_labels.get(well_known.COPIES) == "eager"


class Demand:
    """`namespace/name` of the Secrets that Pending Pods name, and when each was named last.

    `since` is when watching began: of what was named before, nothing is known.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pods: Counter[str] = Counter()
        self._named_at: dict[str, float] = {}
        self._held: set[str] = set()
        self._since: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether the Pending Pods have been listed. Before that, absence proves nothing."""
        return self._since is not None

    def begin(self) -> None:
        if self._since is None:
            self._since = self._clock()

    def update_pod(self, key: str, old: Names | None, new: Names | None) -> Iterable[str]:
        """Records a change of a Pending Pod `namespace/name`. Returns the targets that are named now."""
        namespace = key.partition("/")[0]
        now = self._clock()
        for name in old or ():
            target = f"{namespace}/{name}"
            self._named_at[target] = now
            self._pods[target] -= 1
            if self._pods[target] <= 0:
                del self._pods[target]
        named = [f"{namespace}/{name}" for name in new or ()]
        for target in named:
            self._named_at[target] = now
            self._pods[target] += 1
        return named

    def is_named(self, target: str) -> bool:
        return target in self._pods or target in self._held

    def hold(self, target: str) -> None:
        """A Pod that is Pending no more may name it: it is needed until `release`."""
        self._held.add(target)
        self.record_use(target)

    def release(self, target: str) -> None:
        """The API server listed no unfinished Pod that names it."""
        self._held.discard(target)

    def record_use(self, target: str) -> None:
        """A Pod that is not Pending names it."""
        self._named_at[target] = self._clock()

    def idle_seconds(self, target: str) -> float:
        """For how long no Pod has named it, as far as is known."""
        if self._since is None or target in self._pods:
            return 0.0
        return self._clock() - max(self._since, self._named_at.get(target, self._since))

    def drop(self, target: str) -> None:
        """Its copy is gone."""
        if not self.is_named(target):
            self._named_at.pop(target, None)

    def drop_namespace(self, namespace: str) -> None:
        """It is gone with its Pods and copies."""
        prefix = f"{namespace}/"
        self._held = {target for target in self._held if not target.startswith(prefix)}
        self._named_at = {target: at for target, at in self._named_at.items() if not target.startswith(prefix)}
