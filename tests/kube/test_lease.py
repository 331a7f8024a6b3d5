"""Leadership, on the real API server: what the Lease says, and that there are never two leaders."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from sutler.kube.client import Client
from sutler.kube.errors import ConfigError, KubeError, LeaseLost
from sutler.kube.lease import Elector, clock
from sutler.kube.reflector import ObjectChange, Reflector
from sutler.kube.resources import CONFIG_MAPS, LEASES
from sutler.metrics import REGISTRY
from sutler.typedefs import Json
from tests.cluster import ControlPlane
from tests.cluster.wait import wait_for_async
from tests.kube import faults
from tests.kube.leader import LEASE, PATIENT_LEASE
from tests.kube.proxy import Fault, FaultyProxy
from tests.kube.running import running

MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Work:
    """Work under a lease that writes down from when to when it was done."""

    def __init__(self, *, wind_down: float = 0.0) -> None:
        self.spans: list[tuple[float, float]] = []
        self.active = False
        self._wind_down = wind_down

    async def __call__(self) -> None:
        began = clock()
        self.active = True
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(self._wind_down)
            self.active = False
            self.spans.append((began, clock()))

    async def begun(self) -> None:
        await until(lambda: self.active, "the work to begin")


async def until(condition: Callable[[], object], what: str) -> None:
    async def ask() -> bool:
        return bool(condition())

    await wait_for_async(ask, what)


def elector(client: Client, namespace: str, identity: str, lease: dict[str, float] = PATIENT_LEASE) -> Elector:
    return Elector(client, "test", namespace, identity=identity, **lease)


async def spec(client: Client, namespace: str) -> Json:
    lease = await client.get(LEASES, "test", namespace)
    return dict(lease["spec"])


async def renewals(client: Client, namespace: str, lease: Json) -> None:
    """Wait for three after this state of the lease."""
    seen = {lease["spec"]["renewTime"]}

    async def three() -> bool:
        seen.add((await spec(client, namespace))["renewTime"])
        return len(seen) > 3

    await wait_for_async(three, "renewals")


def leading() -> float | None:
    return REGISTRY.get_sample_value("leader_election_master_status", {"name": "test"})


async def test_lease_says_who_leads_and_is_given_back(client: Client, namespace: str) -> None:
    one, work = elector(client, namespace, "one"), Work()
    with pytest.raises(LeaseLost, match=f"lease {namespace}/test is not held by this process"):
        one.check()
    async with running(one.run(work)):
        await work.begun()
        one.check()
        assert leading() == 1
        first = await spec(client, namespace)
        assert (first["holderIdentity"], first["leaseDurationSeconds"], first["leaseTransitions"]) == ("one", 30, 0)
        assert MICRO_TIME.fullmatch(first["acquireTime"])
        assert MICRO_TIME.fullmatch(first["renewTime"])

        async def renewed() -> bool:
            return bool((await spec(client, namespace))["renewTime"] > first["renewTime"])

        await wait_for_async(renewed, "a renewal")
        assert (await spec(client, namespace))["acquireTime"] == first["acquireTime"]
    assert leading() == 0
    released = await spec(client, namespace)
    assert not released.get("holderIdentity")
    assert released["leaseDurationSeconds"] == 1
    with pytest.raises(LeaseLost):
        one.check()


async def test_lease_is_given_back_although_a_renewal_was_on_its_way(
    client: Client, proxied: Client, proxy: FaultyProxy, namespace: str
) -> None:
    work = Work()
    async with running(elector(proxied, namespace, "one").run(work)):
        await work.begun()
        before = await spec(client, namespace)
        proxy.fail(faults.stall(late=True), method="PUT", path="leases", times=1)

        async def written() -> bool:
            return bool((await spec(client, namespace))["renewTime"] > before["renewTime"])

        await wait_for_async(written, "the renewal whose answer does not come")
    assert not (await spec(client, namespace)).get("holderIdentity")


async def test_process_that_waits_logs_once_who_leads(client: Client, namespace: str) -> None:
    def waits() -> list[Any]:
        return [each for each in logged if each["event"] == "waiting for the lease"]

    work = Work()
    with capture_logs() as logged:
        async with running(elector(client, namespace, "one").run(work)):
            await work.begun()
            async with running(elector(client, namespace, "two").run(Work())):
                await until(waits, "the line")
                await renewals(client, namespace, await client.get(LEASES, "test", namespace))
    assert [each["leader"] for each in waits()] == ["one"]


async def test_next_leader_begins_when_the_work_has_ended(client: Client, namespace: str) -> None:
    work, next_work = Work(wind_down=0.5), Work()
    first = asyncio.ensure_future(elector(client, namespace, "one").run(work))
    await work.begun()
    async with running(elector(client, namespace, "two").run(next_work)):
        first.cancel()
        await next_work.begun()
        with pytest.raises(asyncio.CancelledError):
            await first
        now = await spec(client, namespace)
        assert (now["holderIdentity"], now["leaseTransitions"]) == ("two", 1)
    assert work.spans[0][1] <= next_work.spans[0][0]
    assert next_work.spans[0][0] - work.spans[0][1] < PATIENT_LEASE["duration"] / 2


@pytest.mark.parametrize("how", ["away", "silent"])
async def test_leader_without_connection_stops_before_another_begins(
    client: Client, proxied: Client, proxy: FaultyProxy, namespace: str, how: str
) -> None:
    cut_off, other = Work(), Work()
    one = elector(proxied, namespace, "cut off", LEASE)
    async with running(one.run(cut_off)):
        await cut_off.begun()
        async with running(elector(client, namespace, "other", LEASE).run(other)):
            with getattr(proxy, how)():
                await other.begun()
                assert not cut_off.active
                with pytest.raises(LeaseLost):
                    one.check()
            # Back again, it is a candidate like any other.
            await asyncio.sleep(LEASE["duration"])
            assert other.active
            assert not cut_off.active
            now = await spec(client, namespace)
            assert (now["holderIdentity"], now["leaseTransitions"]) == ("other", 1)
    (_, ended), (began, _) = cut_off.spans[0], other.spans[0]
    assert ended < began


@pytest.mark.parametrize(
    "fault",
    [
        faults.answer(500, reason="InternalError"),
        faults.answer(409, reason="Conflict"),
        faults.answer(429, reason="TooManyRequests", retry_after=0.1),
        faults.html(),
        faults.reset(),
        faults.reset(late=True),
        faults.cut_answer(),
        faults.truncated(),
    ],
)
async def test_passing_fault_does_not_end_leadership(
    proxied: Client, proxy: FaultyProxy, namespace: str, fault: Fault
) -> None:
    work = Work()
    one = elector(proxied, namespace, "one")
    async with running(one.run(work)):
        await work.begun()
        written = proxy.fail(fault, method="PUT", path="/leases/test", times=1)
        await until(lambda: written.hits == 1, "a renewal to fail")
        # Reads come only after a write that failed.
        read = proxy.fail(fault, method="GET", path="/leases/test", times=1)
        proxy.fail(faults.answer(409, reason="Conflict"), method="PUT", path="/leases/test", times=1)
        await until(lambda: read.hits == 1, "a read to fail")
        renewals = proxy.count("PUT")
        await until(lambda: proxy.count("PUT") > renewals + 1, "renewals")
        one.check()
    assert len(work.spans) == 1


async def test_lease_changed_by_others_in_passing_stays_ours(client: Client, namespace: str) -> None:
    work = Work()
    async with running(elector(client, namespace, "one").run(work)):
        await work.begun()
        for label in ("a", "b"):
            changed = await client.merge_patch(LEASES, "test", {"metadata": {"labels": {"x": label}}}, namespace)
            await renewals(client, namespace, changed)
        await client.delete(LEASES, "test", namespace)

        async def back() -> bool:
            leases = await client.list(LEASES, namespace)
            return bool(leases and leases[0]["spec"]["holderIdentity"] == "one")

        await wait_for_async(back, "the deleted lease to be back")
        await renewals(client, namespace, await client.get(LEASES, "test", namespace))
        assert work.active
    assert len(work.spans) == 1


async def test_lease_taken_by_force_ends_the_work(client: Client, namespace: str) -> None:
    work = Work()
    one = elector(client, namespace, "one")
    async with running(one.run(work)):
        await work.begun()
        forced = {"holderIdentity": "administrator", "leaseDurationSeconds": 1}
        await client.merge_patch(LEASES, "test", {"spec": forced}, namespace)
        await until(lambda: not work.active, "the work to end")
        with pytest.raises(LeaseLost):
            one.check()
        # No process renews it, so it is won again.
        await work.begun()
        assert (await spec(client, namespace))["leaseTransitions"] == 1


async def test_wrong_clock_of_the_other_does_not_count(client: Client, namespace: str) -> None:
    """Its renewTime is of last year, yet it has just been seen renewing: its time is waited for."""
    body = {
        "metadata": {"name": "test", "namespace": namespace},
        "spec": {
            "holderIdentity": "other",
            "leaseDurationSeconds": 2,
            "renewTime": "2020-01-01T00:00:00.000000Z",
            "acquireTime": "2020-01-01T00:00:00.000000Z",
            "leaseTransitions": 7,
        },
    }
    await client.create(LEASES, body)
    work, began = Work(), clock()
    async with running(elector(client, namespace, "one").run(work)):
        await work.begun()
        now = await spec(client, namespace)
    assert work.spans[0][0] - began >= 2.0
    assert (now["holderIdentity"], now["leaseTransitions"]) == ("one", 8)


async def test_work_that_ends_ends_the_elector_and_the_lease(client: Client, namespace: str) -> None:
    async def ends() -> None:
        pass

    async def fails() -> None:
        raise RuntimeError("of the test's own")

    with pytest.raises(KubeError, match="ended unexpectedly"):
        await elector(client, namespace, "one").run(ends)
    with pytest.raises(RuntimeError):
        await elector(client, namespace, "two").run(fails)
    assert not (await spec(client, namespace)).get("holderIdentity")


async def test_many_candidates_have_one_leader_at_a_time(client: Client, namespace: str) -> None:
    works = [Work() for _ in range(5)]
    tasks = [
        asyncio.ensure_future(elector(client, namespace, f"candidate {number}").run(work))
        for number, work in enumerate(works)
    ]
    for _ in works:
        await until(lambda: any(work.active for work in works), "a leader")
        leader = next(number for number, work in enumerate(works) if work.active)
        tasks[leader].cancel()
        await asyncio.wait({tasks[leader]})
        works[leader].active = False
    spans = sorted(span for work in works for span in work.spans)
    assert len(spans) == 5
    assert all(ended <= began for (_, ended), (began, _) in pairwise(spans))


@pytest.mark.parametrize("times", [(15, 10, 10), (10, 10, 2), (2, 1, 0.9)])
def test_times_without_a_margin_are_refused(times: tuple[float, float, float]) -> None:
    duration, renew_deadline, retry_period = times
    with pytest.raises(ConfigError, match="retry period well below the renew deadline"):
        Elector(
            Client.__new__(Client),
            "test",
            "default",
            duration=duration,
            renew_deadline=renew_deadline,
            retry_period=retry_period,
        )


@pytest.mark.parametrize("rounds", [1, pytest.param(5, marks=pytest.mark.long)])
async def test_frozen_process_does_not_write_after_its_lease(
    client: Client, control_plane: ControlPlane, namespace: str, rounds: int
) -> None:
    """Frozen in the middle of writing, past its lease, while another leads; then it goes on."""
    await client.create(CONFIG_MAPS, {"metadata": {"name": "target"}}, namespace)
    writes: list[Json] = []

    def note(change: ObjectChange[Json]) -> None:
        writes.append(change.new or {})

    def data(obj: Json) -> Json:
        return dict(obj.get("data") or {})

    history = Reflector(client, CONFIG_MAPS, transform=data, namespace=namespace)
    history.subscribe(note)
    other = elector(client, namespace, "test", LEASE)

    async def lead() -> None:
        mark = {"data": {"other": str(len(writes))}}
        await client.fenced(other.check).merge_patch(CONFIG_MAPS, "target", mark, namespace)
        await asyncio.Event().wait()

    async with running(history.run()), leader(control_plane.kubeconfig, namespace, "process") as process:
        for _ in range(rounds):
            writes.clear()
            await until(lambda: len(writes) > 3, "the process to write")
            os.kill(process.pid, signal.SIGSTOP)
            async with running(other.run(lead)):
                await until(lambda: any("other" in write for write in writes), "the other to lead")
                marker = writes[-1]
                assert "other" in marker
                os.kill(process.pid, signal.SIGCONT)
                await asyncio.sleep(LEASE["renew_deadline"])  # time enough for a hundred writes
                assert writes[-1] is marker
            await client.merge_patch(CONFIG_MAPS, "target", {"data": {"other": None}}, namespace)
        process.terminate()
        assert await process.wait() == 0


async def test_process_whose_work_does_not_end_is_ended(
    client: Client, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    await client.create(CONFIG_MAPS, {"metadata": {"name": "target"}}, namespace)

    async def writing() -> bool:
        return "data" in await client.get(CONFIG_MAPS, "target", namespace)

    said = tmp_path / "stderr"
    async with leader(control_plane.kubeconfig, namespace, "process", "stubborn", said=said) as process:
        await wait_for_async(writing, "the process to write")
        process.terminate()
        assert await process.wait() == 70
    assert "the work does not end; the process exits" in said.read_text()


@pytest.mark.parametrize("fate", ["away", "silent", "killed"])
async def test_of_two_processes_one_writes_at_a_time_after_any_end_of_the_first(
    client: Client, control_plane: ControlPlane, proxy: FaultyProxy, namespace: str, fate: str
) -> None:
    """Cut off from the API server, or not answered by it, or killed; then back again, as a candidate like any other."""
    await client.create(CONFIG_MAPS, {"metadata": {"name": "target"}}, namespace)
    writers: list[str] = []

    def note(change: ObjectChange[Json]) -> None:
        old, new = change.old or {}, change.new or {}
        writers.extend(name for name in ("first", "second") if new.get(name) != old.get(name))

    def data(obj: Json) -> Json:
        return dict(obj.get("data") or {})

    history = Reflector(client, CONFIG_MAPS, transform=data, namespace=namespace)
    history.subscribe(note)
    ours = control_plane.kubeconfig
    async with running(history.run()), leader(proxy.kubeconfig, namespace, "first") as first:
        await until(lambda: "first" in writers, "the first one to write")
        async with leader(ours, namespace, "second"):
            if fate == "killed":
                first.kill()
                await until(lambda: "second" in writers, "the second one to take over")
            else:
                with getattr(proxy, fate)():
                    await until(lambda: "second" in writers, "the second one to take over")
            # What the first one still had under way may arrive now, and must be refused.
            count = len(writers)
            await until(lambda: len(writers) > count + 100, "a hundred more writes")
            assert [name for name, _ in groupby(writers)] == ["first", "second"]


@asynccontextmanager
async def leader(
    kubeconfig: Path, namespace: str, name: str, *more: str, said: Path = Path(os.devnull)
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of tests.kube.leader, gone at the end of the block. `said` gets what it logs."""
    arguments: list[Any] = [sys.executable, "-m", "tests.kube.leader", kubeconfig, namespace, name, *more]
    with said.open("wb") as log:
        process = await asyncio.create_subprocess_exec(*arguments, stderr=log)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
