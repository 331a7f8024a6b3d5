import datetime as dt
from dataclasses import replace

import pytest

from certs import pki
from certs.pki import KeyPair, ServerNames
from certs.rotation import MOST_AUTHORITIES, RETIRE_AFTER, CertificateSecret, next_step

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
NAMES = ServerNames(("sutler-webhook.sutler-system.svc",))
EMPTY = CertificateSecret()
MOMENT = dt.timedelta(seconds=10)


def step(
    have: CertificateSecret, now: dt.datetime = NOW, *, trusted: bool = True, names: ServerNames = NAMES
) -> tuple[CertificateSecret, str]:
    taken = next_step(have, names, now, trusted=trusted)
    assert taken is not None, "a step was expected"
    return taken.contents, taken.why


def usable(contents: CertificateSecret, now: dt.datetime = NOW) -> bool:
    """Whether a client that trusts the bundle accepts the leaf, and the leaf has its key."""
    leaf = pki.read_certificate(contents.leaf.certificate)
    return (
        pki.is_pair(leaf, pki.read_key(contents.leaf.key))
        and pki.is_valid(leaf, now)
        and any(pki.is_signed_by(leaf, ca) and pki.is_valid(ca, now) for ca in pki.read_bundle(contents.authorities))
    )


@pytest.fixture(scope="module")
def fresh() -> CertificateSecret:
    return step(EMPTY)[0]


def test_nothing_stored_gives_a_ca_and_a_leaf_in_one_step(fresh: CertificateSecret) -> None:
    assert usable(fresh)
    assert next_step(fresh, NAMES, NOW, trusted=False) is None


def test_what_is_stored_survives_the_way_through_the_secret(fresh: CertificateSecret) -> None:
    assert CertificateSecret.from_data(fresh.to_data()) == fresh


def test_leaf_is_renewed_and_the_ca_stays(fresh: CertificateSecret) -> None:
    later = NOW + dt.timedelta(days=5)
    renewed, why = step(fresh, later)
    assert why == "new certificate: two thirds of its lifetime are over"
    assert renewed.authorities == fresh.authorities
    assert renewed.leaf != fresh.leaf
    assert usable(renewed, later)


def test_change_of_ca_keeps_the_leaf_valid_for_clients_that_trust_either(fresh: CertificateSecret) -> None:
    """The whole sequence, with the caBundle that the API server can have at each point."""
    due = NOW + dt.timedelta(days=250)
    kept_renewed = replace(fresh, leaf=pki.new_leaf(KeyPair(fresh.authorities, fresh.authority_key), NAMES, due))
    both, why = step(kept_renewed, due, trusted=False)
    assert why == "new CA: two thirds of its lifetime are over"
    assert pki.read_bundle(both.authorities)[1:] == pki.read_bundle(fresh.authorities)
    assert both.leaf == kept_renewed.leaf

    assert next_step(both, NAMES, due + MOMENT, trusted=False) is None, "the leaf switched before the CA was trusted"

    switched, why = step(both, due + MOMENT)
    assert why == "new certificate: the new CA is trusted now"
    assert switched.authorities == both.authorities
    leaf = pki.read_certificate(switched.leaf.certificate)
    assert pki.is_signed_by(leaf, pki.read_bundle(switched.authorities)[0])

    assert next_step(switched, NAMES, due + dt.timedelta(minutes=50), trusted=True) is None
    retired, why = step(switched, due + MOMENT + RETIRE_AFTER)
    assert why == "removed the old CA: nothing uses it"
    assert pki.read_bundle(retired.authorities) == pki.read_bundle(both.authorities)[:1]
    assert usable(retired, due + MOMENT + RETIRE_AFTER)


def test_a_leaf_for_other_names_is_replaced(fresh: CertificateSecret) -> None:
    names = ServerNames(("elsewhere.sutler-system.svc",), ("127.0.0.1",))
    replaced, why = step(fresh, names=names, trusted=False)
    assert why == "new certificate: the stored one does not have the names elsewhere.sutler-system.svc, 127.0.0.1"
    assert pki.has_names(pki.read_certificate(replaced.leaf.certificate), names)


def damaged(fresh: CertificateSecret, other: CertificateSecret) -> dict[str, CertificateSecret]:
    half = len(fresh.authorities) // 2
    return {
        "emptied": EMPTY,
        "CA gone": replace(fresh, authorities=b""),
        "CA garbled": replace(fresh, authorities=b"garbage"),
        "CA cut short": replace(fresh, authorities=fresh.authorities[:half]),
        "CA key gone": replace(fresh, authority_key=b""),
        "CA key of another": replace(fresh, authority_key=other.authority_key),
        "CA of another": replace(fresh, authorities=other.authorities, authority_key=other.authority_key),
        "leaf gone": replace(fresh, leaf=KeyPair(b"", b"")),
        "leaf garbled": replace(fresh, leaf=KeyPair(b"garbage", fresh.leaf.key)),
        "leaf key gone": replace(fresh, leaf=KeyPair(fresh.leaf.certificate, b"")),
        "torn pair": replace(fresh, leaf=KeyPair(fresh.leaf.certificate, other.leaf.key)),
        "leaf of another CA": replace(fresh, leaf=other.leaf),
    }


@pytest.mark.parametrize("damage", damaged(EMPTY, EMPTY))
def test_damage_is_repaired(fresh: CertificateSecret, damage: str) -> None:
    repaired, why = step(damaged(fresh, step(EMPTY)[0])[damage], trusted=False)
    assert usable(repaired)
    assert why
    assert "PRIVATE" not in why


@pytest.mark.parametrize("years", [-1, 1])
def test_clock_that_jumps_a_year_gives_certificates_for_its_time(fresh: CertificateSecret, years: int) -> None:
    then = NOW + dt.timedelta(days=365 * years + 1)
    repaired, _ = step(fresh, then, trusted=False)
    assert usable(repaired, then)


def test_clocks_that_disagree_do_not_grow_the_bundle_without_end(fresh: CertificateSecret) -> None:
    contents = fresh
    for round_ in range(10):
        contents, _ = step(contents, NOW + dt.timedelta(days=200 * (round_ % 2) * -1 - 2), trusted=False)
        assert len(pki.read_bundle(contents.authorities)) <= MOST_AUTHORITIES
