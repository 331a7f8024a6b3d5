"""Has the webhook renew, and watches it do so.

The command makes no key: it takes out of the Secret what is to be new, and the webhook does what it does about a
damaged Secret. It serves on what it has in memory, and a new CA is published beside the old one before it is used.
"""

import asyncio
from collections.abc import Callable

from certs.rotation import CA_KEY, LEAF_CERTIFICATE, LEAF_KEY
from sutler.cli.certs.fetch import CertificateReport, gather
from sutler.cli.output import RefusedError, say
from sutler.kube.client import Client
from sutler.kube.errors import Conflict
from sutler.kube.resources import SECRETS

_LOOK_SECONDS = 1.0


class Rotation:
    def __init__(self, namespace: str, secret: str, configuration: str, *, authority: bool) -> None:
        self._namespace = namespace
        self._secret = secret
        self._configuration = configuration
        self._authority = authority

    async def begin(self, client: Client) -> None:
        """Raises RefusedError where it would not be safe, or would not be done."""
        self._before = await self._look(client)
        _check(self._before, authority=self._authority)
        gone = (CA_KEY,) if self._authority else (LEAF_CERTIFICATE, LEAF_KEY)
        change = {"metadata": {"resourceVersion": self._before.version}, "data": dict.fromkeys(gone)}
        try:
            await client.merge_patch(SECRETS, self._secret, change, self._namespace)
        except Conflict:
            raise RefusedError("the certificate changed at this very moment: look at it, then try again") from None
        say(f"Secret {self._namespace}/{self._secret}: {' and '.join(gone)} taken out, for the webhook to renew.")

    async def follow(self, client: Client) -> None:
        """Returns when it is done. A new CA comes first, to be trusted before it is used."""
        if self._authority:
            old = self._before.stored.authorities[:1]
            after = await self._until(client, lambda seen: seen.stored.authorities[:1] not in {(), old})
            say(f"New CA {after.stored.authorities[0].name}, and the old one beside it.")
        after = await self._until(client, self._renewed)
        if leaf := after.stored.leaf:
            say(f"New certificate, signed by {leaf.signer}, SHA-256 {leaf.fingerprint}.")
        later = " The old CA goes an hour from now, when nothing uses it any more." if self._authority else ""
        say(f"Every replica serves it within seconds.{later}")

    def _renewed(self, seen: CertificateReport) -> bool:
        new, old = seen.stored.leaf, self._before.stored.leaf
        signer = seen.stored.authorities[0].name if seen.stored.authorities else ""
        return new is not None and new != old and new.signer == signer and not seen.stored.unusable

    async def _until(self, client: Client, done: Callable[[CertificateReport], bool]) -> CertificateReport:
        while True:
            seen = await self._look(client)
            if done(seen):
                return seen
            await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self, client: Client) -> CertificateReport:
        return await gather(client, self._namespace, self._secret, self._configuration)


def _check(seen: CertificateReport, *, authority: bool) -> None:
    where = f"Secret {seen.namespace}/{seen.secret}"
    if seen.keeper:
        raise RefusedError(
            f"{where} is kept by cert-manager, which renews it: cmctl renew -n {seen.namespace} {seen.keeper}"
        )
    if authority and seen.stored.changing:
        raise RefusedError(
            f"{where} is in a change of CA already, which takes an hour: a second one now could leave a replica with a "
            "certificate that nobody trusts. `sutler certs show` says how far it is"
        )
