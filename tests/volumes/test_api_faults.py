"""The API server, or a proxy in front of it, answers badly at every call of a volume's life."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import Ceph, ControlPlane, Place, SutlerProcess, wait_for
from tests.kube import faults
from tests.kube.proxy import Fault, FaultyProxy
from tests.volumes.volume_env import ARGUMENTS, VolumeEnv, claim

CALLS = {
    "GET claim": ("GET", r"/persistentvolumeclaims/"),
    "GET volume": ("GET", r"/persistentvolumes/"),
    "POST volume": ("POST", r"/persistentvolumes$"),
    "DELETE volume": ("DELETE", r"/persistentvolumes/"),
    "PATCH volume": ("PATCH", r"/persistentvolumes/"),
}
FAULTS: dict[str, Callable[[], Fault]] = {
    "401": lambda: faults.answer(401, reason="Unauthorized"),
    "403": lambda: faults.answer(403, reason="Forbidden"),
    "404": lambda: faults.answer(404, reason="NotFound"),
    "409": lambda: faults.answer(409, reason="Conflict"),
    "422": lambda: faults.answer(422, reason="Invalid"),
    "429": lambda: faults.answer(429, reason="TooManyRequests", retry_after=1),
    "500": lambda: faults.answer(500, reason="InternalError"),
    "502 HTML": faults.html,
    "404 HTML": lambda: faults.html(404),
    "reset": faults.reset,
    "done and stalled": lambda: faults.stall(late=True),
    "stalled": faults.stall,
    "done and reset": lambda: faults.reset(late=True),
    "answer cut off": faults.cut_answer,
    "half a JSON": faults.truncated,
}


LONG = 120.0
"""Seconds to wait for what may first meet stalls and back off from failures."""

# In a quick run the two that decide between one image, none and a leak meet the answers that leave that open.
QUICK = {"POST volume": ("409", "done and reset", "502 HTML"), "DELETE volume": ("done and reset",)}
RUNS = [pytest.param(call, some, id=f"{call}, briefly") for call, some in QUICK.items()]
RUNS += [pytest.param(call, tuple(FAULTS), id=call, marks=pytest.mark.long) for call in CALLS]


@pytest.fixture(scope="module")
def proxy(account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyProxy]:
    with FaultyProxy(account, tmp_path_factory.mktemp("proxy")) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def proxied(
    proxy: FaultyProxy, ceph: Ceph, place: Place, system: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SutlerProcess]:
    folder = tmp_path_factory.mktemp("proxied")
    arguments = [*ARGUMENTS, f"--namespace={system}", "--reconcile-interval=1000"]
    process = SutlerProcess(arguments, proxy.kubeconfig, place, folder, env={"CEPH_CONF": str(ceph.conf)})
    process.start()
    yield process
    process.stop()


@pytest.fixture
def env(
    control_plane: ControlPlane, ceph: Ceph, proxied: SutlerProcess, namespace: str, pool: str
) -> Iterator[VolumeEnv]:
    made = VolumeEnv(control_plane, ceph, proxied, namespace, pool)
    yield made
    made.clean_up()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("call", "answers"), RUNS)
def test_claims_are_bound_under_every_fault_of_the_api_server(
    call: str, answers: tuple[str, ...], env: VolumeEnv, proxy: FaultyProxy
) -> None:
    method, path = CALLS[call]
    cls = env.storage_class()
    for fault in answers:
        # A stall costs the 30 seconds that an answer may take: one is enough.
        rule = proxy.fail(FAULTS[fault](), method=method, path=path, times=1 if "stalled" in fault else 2)
        env.apply(claim("data", cls, "1Mi"))
        try:
            wait_for(lambda: env.all_bound(1), f"the claim to be Bound after {fault}", LONG)
            (volume,) = env.volumes()
            (image,) = env.images()
            assert env.metadata(image)["sutler.dev/uid"] == volume["spec"]["claimRef"]["uid"]
            env.delete_claims("data")
            env.wait_gone(LONG)
        except TimeoutError as error:
            raise AssertionError(f"{call}: {fault}: {error}\n{env.process.log_text()[-1500:]}") from error
        assert rule.hits, f"{call} was not made"
        proxy.heal()
