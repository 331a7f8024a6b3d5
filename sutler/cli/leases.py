"""Leases: who holds one, judged by the API server's clock and not by this machine's. Pure: no I/O."""

from datetime import datetime, timedelta

from sutler.typedefs import Json

MAX_AGE = timedelta(seconds=60)
"""Time since the last renewal after which a lease counts as abandoned."""
_MAX_AHEAD = timedelta(seconds=5)


def renew_time(lease: Json) -> str:
    """When the lease was last renewed, RFC 3339; empty for never."""
    return str((lease.get("spec") or {}).get("renewTime") or "")


def active_holder(lease: Json | None, now: datetime) -> str:
    """The identity that holds the lease at `now`; empty if it is missing, released or abandoned."""
    if lease is None or not renew_time(lease):
        return ""
    holder = str((lease.get("spec") or {}).get("holderIdentity") or "")
    return holder if now - datetime.fromisoformat(renew_time(lease)) <= MAX_AGE else ""


def is_doubtful(lease: Json, now: datetime) -> bool:
    """Whether the lease has a holder and its time is old or in the future: the holder's clock may be wrong."""
    if not (lease.get("spec") or {}).get("holderIdentity") or not renew_time(lease):
        return False
    return not -_MAX_AHEAD <= now - datetime.fromisoformat(renew_time(lease)) <= MAX_AGE
