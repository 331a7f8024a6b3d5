"""What the webhook decides by: mappings, labels of namespaces, ServiceAccounts that restrict pull secrets."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from sutler.registry.index import MappingIndex
from sutler.registry.injection import Account, Labels, parse_account
from sutler.registry.mapping import Mapping as RegistryMapping
from sutler.typedefs import Json


class StateProblem(NamedTuple):
    """Why the Secret of a mapping may be missing in a namespace."""

    text: str
    """Reason and message of the mapping's condition Ready."""
    lacking: frozenset[str] | None = None
    """The namespaces without the Secret; None if they are not known, which may be all."""

    def concerns(self, namespace: str) -> bool:
        return self.lacking is None or namespace in self.lacking


UNRESTRICTED = Account()
"""One object for all ServiceAccounts without restrictions, of which there may be tens of thousands."""


def account_entry(obj: Json) -> Account:
    """What is cached of a ServiceAccount."""
    account = parse_account(obj)
    return account if account.enforces else UNRESTRICTED


async def _get_no_labels(_namespace: str) -> Labels | None:
    return None


@dataclass(slots=True)
class WebhookState:
    """Read by every request. The informers replace each part as a whole, or their reflectors keep it current."""

    index: MappingIndex = field(default_factory=MappingIndex)
    """The usable mappings."""
    problems: Mapping[str, StateProblem] = field(default_factory=dict)
    """By name of the mapping, of mappings that are not ready."""
    namespaces: Mapping[str, Labels] = field(default_factory=dict)
    """Labels by name."""
    accounts: Mapping[str, Account] = field(default_factory=dict)
    """By namespace/name."""
    excluded: frozenset[str] = frozenset()
    """Namespaces whose Pods are skipped, independent of their labels."""
    get_namespace_labels: Callable[[str], Awaitable[Labels | None]] = _get_no_labels
    """Reads a namespace that is too new to be cached from the API server. None: it could not be read."""
    not_ready: Callable[[], str | None] = lambda: None
    """The reason why nothing can be decided yet; None when the webhook is ready."""
    stopping: bool = False
    """Whether the process drains: each response then closes its connection."""

    def account(self, namespace: str, name: str) -> Account:
        return self.accounts.get(f"{namespace}/{name}", UNRESTRICTED)

    @classmethod
    def fixed(cls, mappings: Iterable[RegistryMapping], namespaces: Mapping[str, Labels]) -> "WebhookState":
        """A state that does not change, without an API server."""
        return cls(index=MappingIndex(mappings), namespaces=namespaces)
