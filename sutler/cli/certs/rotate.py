"""Makes the webhook renew its certificate, and follows the rotation.

This command creates no key: it deletes from the Secret what is to be renewed, which the webhook then issues as for any
incomplete Secret. Meanwhile it serves the certificate that it has in memory, and a new CA is published beside the old
one before it is used.
"""

import asyncio
from collections.abc import Callable

from certs.rotation import CA_KEY, LEAF_CERTIFICATE, LEAF_KEY
from sutler.cli.certs.certificate_report import CertificateReport
from sutler.cli.certs.fetch import read_certificate
from sutler.cli.exit_codes import RefusedError
from sutler.cli.output import print_line
from sutler.kube.client import Client
from sutler.kube.errors import Conflict
from sutler.kube.resources import SECRETS

_POLL_SECONDS = 1.0


class Rotation:
    """One rotation of the certificate, and with `authority` of the CA before it."""

    def __init__(self, namespace: str, secret: str, configuration: str, *, authority: bool) -> None:
        self._namespace = namespace
        self._secret = secret
        self._configuration = configuration
        self._authority = authority

    async def begin(self, client: Client) -> None:
        """Deletes from the Secret what is to be renewed. Raises RefusedError if that is unsafe or has no effect."""
        self._before = await self._read(client)
        _check(self._before, authority=self._authority)
        gone = (CA_KEY,) if self._authority else (LEAF_CERTIFICATE, LEAF_KEY)
        change = {"metadata": {"resourceVersion": self._before.version}, "data": dict.fromkeys(gone)}
        try:
            await client.merge_patch(SECRETS, self._secret, change, self._namespace)
        except Conflict:
            raise RefusedError(
                "the certificate was changed at the same time: check it with `sutler certs show`, then try again"
            ) from None
        print_line(
            f"Secret {self._namespace}/{self._secret}: deleted {' and '.join(gone)}, which the webhook now renews."
        )

    async def follow(self, client: Client) -> None:
        """Returns when the rotation is complete. A new CA comes first, so that it is trusted before it is used."""
        if self._authority:
            old = self._before.stored.authorities[:1]
            after = await self._until(client, lambda report: report.stored.authorities[:1] not in {(), old})
            print_line(f"New CA {after.stored.authorities[0].name}, published beside the old one.")
        after = await self._until(client, self._renewed)
        if leaf := after.stored.leaf:
            print_line(f"New certificate, signed by {leaf.signer}, SHA-256 {leaf.fingerprint}.")
        later = " The old CA is removed an hour from now, when nothing uses it any more." if self._authority else ""
        print_line(f"Every replica serves the new certificate within seconds.{later}")

    def _renewed(self, report: CertificateReport) -> bool:
        new, old = report.stored.leaf, self._before.stored.leaf
        signer = report.stored.authorities[0].name if report.stored.authorities else ""
        return new is not None and new != old and new.signer == signer and not report.stored.unusable

    async def _until(self, client: Client, done: Callable[[CertificateReport], bool]) -> CertificateReport:
        while True:
            report = await self._read(client)
            if done(report):
                return report
            await asyncio.sleep(_POLL_SECONDS)

    async def _read(self, client: Client) -> CertificateReport:
        return await read_certificate(client, self._namespace, self._secret, self._configuration)


def _check(report: CertificateReport, *, authority: bool) -> None:
    secret = f"Secret {report.namespace}/{report.secret}"
    if report.cert_manager:
        raise RefusedError(
            f"{secret} is managed by cert-manager; renew it with: cmctl renew -n {report.namespace} "
            f"{report.cert_manager}"
        )
    if authority and report.stored.changing:
        raise RefusedError(
            f"{secret} is in a change of CA, which takes an hour: a second change now could leave a replica with a "
            "certificate that the API server does not trust. See its progress with `sutler certs show`"
        )
