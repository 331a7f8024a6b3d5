"""What the webhook decides by: mappings, labels of namespaces, ServiceAccounts that restrict their Pods' secrets."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sutler.registry.index import MappingIndex
from sutler.registry.injection import Account, Labels, read_account
from sutler.registry.mapping import Mapping as RegistryMapping


class StateProblem(NamedTuple):
    """Why a mapping's Secret may not be in a namespace."""

    text: str
    lacking: frozenset[str] | None = None
    """Where it is not; None for where nobody has said so, which may be anywhere."""

    def concerns(self, namespace: str) -> bool:
        return self.lacking is None or namespace in self.lacking


UNRESTRICTED = Account()  # one for all of them: there may be tens of thousands


def keep_account(obj: dict[str, Any]) -> Account:
    account = read_account(obj)
    return account if account.enforces else UNRESTRICTED


async def _unknown(_namespace: str) -> Labels | None:
    return None


@dataclass(slots=True)
class WebhookState:
    """Read at every request. What it holds is swapped whole or kept up to date by a reflector, never half changed."""

    index: MappingIndex = field(default_factory=MappingIndex)
    troubles: Mapping[str, StateProblem] = field(default_factory=dict)
    """By mapping that is not ready."""
    namespaces: Mapping[str, Labels] = field(default_factory=dict)
    accounts: Mapping[str, Account] = field(default_factory=dict)
    """By namespace/name."""
    excluded: frozenset[str] = frozenset()
    """Namespaces that are left alone whatever they are labelled."""
    ask_namespace: Callable[[str], Awaitable[Labels | None]] = _unknown
    """For one that is too new to be known: ask the API server."""
    not_ready: Callable[[], str | None] = lambda: None
    stopping: bool = False

    def account(self, namespace: str, name: str) -> Account:
        return self.accounts.get(f"{namespace}/{name}", UNRESTRICTED)

    @classmethod
    def fixed(cls, mappings: Iterable[RegistryMapping], namespaces: Mapping[str, Labels]) -> "WebhookState":
        """Without any API server."""
        return cls(index=MappingIndex(mappings), namespaces=namespaces)
