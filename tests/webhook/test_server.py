"""The server over real TLS: statuses, connections, limits."""

import asyncio
import gzip
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator

import pytest

from sutler.metrics import REGISTRY
from sutler.registry.injection import Labels
from tests.cluster import wait_for_async
from tests.webhook.pods import body, pod
from tests.webhook.server_fixture import APP, JSON, Running, head_of, until
from webhook import acceptor
from webhook.limits import LARGEST_BODY_BYTES, ConcurrencyLimits
from webhook.server import KEEP_ALIVE_SECONDS, make_runner


def count(outcome: str) -> float:
    return REGISTRY.get_sample_value("sutler_admission_requests_total", {"outcome": outcome}) or 0.0


async def test_review_is_answered_and_counted(running: Running) -> None:
    before, matches = count("injected"), REGISTRY.get_sample_value("sutler_mapping_matches_total", {"mapping": "quay"})
    status, text = await running.post(body(pod(APP)))
    assert status == 200
    response = json.loads(text)["response"]
    assert response["uid"] == "705ab4f5-6393-11e8-b7cc-42010a800002"
    assert response["patchType"] == "JSONPatch"
    assert count("injected") == before + 1
    assert REGISTRY.get_sample_value("sutler_mapping_matches_total", {"mapping": "quay"}) == (matches or 0) + 1


async def test_each_decision_is_logged_at_debug_only(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await running.post(body(pod(APP)))
    assert "decided" not in capsys.readouterr().out
    monkeypatch.setattr(running.admission, "_logs_decisions", True)
    await running.post(body(pod(APP)))
    output = capsys.readouterr().out
    assert "decided" in output
    assert "outcome=injected" in output


async def test_connection_is_kept_and_used_again(running: Running) -> None:
    reader, writer = await running.raw()
    for _ in range(3):
        content = body(pod(APP))
        head = head_of(len(content))
        writer.write(head + content)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"Connection: close" not in answer
        length = int(answer.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
    writer.close()
    await writer.wait_closed()


async def test_client_that_asks_for_it_gets_its_connection_closed(running: Running) -> None:
    reader, writer = await running.raw()
    content = body(pod(APP))
    writer.write(head_of(len(content)).replace(b"Host: x", b"Host: x\r\nConnection: close") + content)
    async with asyncio.timeout(30):
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()


async def test_client_that_leaves_before_the_answer_does_no_harm(running: Running) -> None:
    for _ in range(20):
        _, writer = await running.raw()
        writer.write(head_of(len(body(pod(APP)))) + body(pod(APP)))
        writer.transport.abort()
    assert (await running.post(body(pod(APP))))[0] == 200


async def test_client_that_leaves_in_the_middle_of_its_body_is_no_defect_of_ours(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    errors, bad = count("error"), count("bad_request")
    _, writer = await running.raw()
    writer.write(head_of(100) + b"half")
    await until(lambda: running.admission.busy, "the request to be in work")
    writer.transport.abort()
    await until(lambda: count("error") + count("bad_request") > errors + bad, "it to be counted")
    assert (count("error"), count("bad_request")) == (errors, bad + 1)
    assert "unhandled error" not in capsys.readouterr().out


async def test_client_that_asks_on_and_reads_no_answer_is_cut_off(running: Running) -> None:
    content = (head_of(len(body(pod(APP)))) + body(pod(APP))) * 100
    silent = await asyncio.to_thread(running.silent)

    def ask_on() -> None:
        for _ in range(1000):
            silent.sendall(content)

    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.to_thread(ask_on)
    silent.close()
    assert (await running.post(body(pod(APP))))[0] == 200


@pytest.mark.parametrize("megabytes", [1, 3, 7])
async def test_large_reviews_are_answered(running: Running, megabytes: int) -> None:
    large = pod(APP)
    large["metadata"]["annotations"]["padding"] = "x" * (megabytes * 1024**2)
    status, text = await running.post(body(large))
    assert status == 200
    assert "patch" in json.loads(text)["response"]


async def test_body_of_exactly_the_limit_is_read_and_one_byte_more_is_not(running: Running) -> None:
    content = body(pod(APP))
    full = content + b" " * (LARGEST_BODY_BYTES - len(content))
    assert (await running.post(full))[0] == 200
    status, text = await running.post(full + b" ")
    assert (status, text) == (413, f"the body exceeds {LARGEST_BODY_BYTES} bytes\n")

    async def chunks() -> AsyncIterator[bytes]:
        yield full
        yield b" "

    async with running.session.post(running.url, data=chunks(), headers=JSON) as response:
        assert response.status == 413


@pytest.mark.parametrize(
    ("content", "headers", "status", "reason"),
    [
        (b"not json", {}, 400, "not JSON"),
        (b"", {}, 400, "the body is empty"),
        (b"{}", {}, 400, "expected kind AdmissionReview"),
        (b'{"x":' * 100_000, {}, 400, "not JSON"),
        (body(pod(APP)).replace(b"/v1", b"/v1beta1", 1), {}, 400, "admissionReviewVersions"),
        (body(pod(APP)), {"Content-Type": "text/plain"}, 415, "must be application/json, not text/plain"),
        (body(pod(APP)), {"Content-Type": "application/yaml"}, 415, "must be application/json"),
        (gzip.compress(body(pod(APP))), {"Content-Encoding": "gzip"}, 415, "uncompressed"),
    ],
)
async def test_bad_input_gets_a_status_and_the_reason(
    running: Running, content: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    before = count("bad_request")
    found, text = await running.post(content, **headers)
    assert found == status
    assert reason in text
    assert "Traceback" not in text
    assert count("bad_request") == before + 1
    assert (await running.post(body(pod(APP))))[0] == 200


async def test_requests_are_counted_and_not_logged(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="aiohttp.access"):
        reader, writer = await running.raw()  # made after the level was set
        content = body(pod(APP))
        writer.write(head_of(len(content)) + content)
        await reader.readuntil(b"}}}")
        writer.close()
    assert [record for record in caplog.records if record.name == "aiohttp.access"] == []


async def test_idle_connections_are_kept_longer_than_the_api_server_keeps_them(running: Running) -> None:
    runner = make_runner(running.admission)
    await runner.setup()
    try:
        assert runner.server is not None
        assert runner.server().keepalive_timeout == KEEP_ALIVE_SECONDS
    finally:
        await runner.cleanup()
    assert KEEP_ALIVE_SECONDS > 90


async def test_content_type_with_a_charset_is_json(running: Running) -> None:
    assert (await running.post(body(pod(APP)), **{"Content-Type": "application/json; charset=utf-8"}))[0] == 200


async def test_other_paths_and_methods_are_refused(running: Running) -> None:
    async with running.session.get(running.url) as response:
        assert response.status == 405
    async with running.session.post(running.url.replace("mutate", "other"), data=b"{}") as response:
        assert response.status == 404


async def test_not_ready_asks_the_api_server_to_come_again(running: Running) -> None:
    running.state.not_ready = lambda: "not seen yet: mappings"
    async with running.session.post(running.url, data=body(pod(APP)), headers=JSON) as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"
        assert response.headers["Connection"] == "close"
        assert await response.text() == "not ready: not seen yet: mappings\n"


async def test_too_much_at_once_asks_the_api_server_to_come_again(
    running: Running,
) -> None:
    running.admission.load.limits = ConcurrencyLimits(bodies=1)
    _, first = await running.raw()
    first.write(head_of(100) + b"half")
    await until(lambda: running.admission.busy, "a request to be in work")
    reader, second = await running.raw()
    second.write(head_of(100) + b"half")
    async with asyncio.timeout(30):
        answer = await reader.readuntil(b"too many requests at once\n")
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"Retry-After: 1\r\n" in answer
    # What comes in one piece needs no room to wait in.
    assert (await running.post(body(pod(APP))))[0] == 200
    first.close()
    second.close()
    await until(lambda: not running.admission.busy, "no request to be in work")


async def test_requests_that_wait_too_long_are_turned_away_until_the_wait_is_over(
    running: Running,
) -> None:
    assert (await running.post(body(pod(APP))))[0] == 200
    running.admission.load.limits = ConcurrencyLimits(lag_seconds=0.2)
    before = count("overloaded")

    async def turned_away() -> bool:
        time.sleep(0.5)  # noqa: ASYNC251 - holds up the server, which runs in this very loop
        return await running.post(body(pod(APP))) == (503, "overloaded: requests wait too long\n")

    # On a busy machine the request can come so late that the wait is over again.
    await wait_for_async(turned_away, "a request to be turned away")
    assert count("overloaded") == before + 1

    async def answered() -> bool:
        return (await running.post(body(pod(APP))))[0] == 200

    await wait_for_async(answered, "the server to have caught up")


async def test_defect_is_an_internal_error_without_a_traceback(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("canary-p4ssw0rd")

    monkeypatch.setattr("webhook.handler.decide", fail)
    status, text = await running.post(body(pod(APP)))
    assert (status, text) == (500, "internal error, see the webhook's log\n")


async def test_bodies_take_up_memory_as_they_come_and_not_by_what_they_announce(running: Running) -> None:
    running.admission.load.limits = ConcurrencyLimits(size=300_000)
    slow = [await running.raw() for _ in range(8)]
    for _, writer in slow:
        writer.write(head_of(LARGEST_BODY_BYTES) + b"{")
    await until(lambda: running.admission.load.bodies == 8, "eight bodies to be on their way")
    assert running.admission.load.size == 8
    reader, writer = slow[0]
    writer.write(b" " * 400_000)
    async with asyncio.timeout(30):
        assert (await reader.readuntil(b"too many requests at once\n")).startswith(b"HTTP/1.1 503")
    await until(lambda: running.admission.load.size == 7, "what it took up to be given back")
    for _, writer in slow:
        writer.close()


async def test_namespace_is_asked_for_no_longer_than_the_api_server_can_wait(running: Running) -> None:
    async def ask(_: str) -> Labels | None:
        await asyncio.Event().wait()
        return None

    running.state.get_namespace_labels = ask
    async with asyncio.timeout(30):
        status, text = await running.post(body(pod(APP), namespace="new"), target="?timeout=200ms")
    assert status == 200
    assert "patch" in json.loads(text)["response"], "the mapping is for every namespace"


async def test_defect_is_logged_with_the_request_and_requests_that_make_no_sense_once(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("canary-p4ssw0rd")

    for _ in range(3):
        await running.post(b"not json")
    assert capsys.readouterr().out.count("rejected a request") == 1
    monkeypatch.setattr("webhook.handler.decide", fail)
    await running.post(body(pod(APP)))
    said = capsys.readouterr().out
    assert "unhandled error in a request" in said
    assert "namespace=default" in said
    assert "uid=705ab4f5-6393-11e8-b7cc-42010a800002" in said


async def test_slow_and_half_open_connections_do_not_hold_up_the_others(running: Running) -> None:
    slow = [await running.raw() for _ in range(200)]
    for position, (_, writer) in enumerate(slow):
        head = head_of(5000) + b"{"
        writer.write(head[: len(head) - position])
    async with asyncio.timeout(30):
        for _ in range(50):
            assert (await running.post(body(pod(APP))))[0] == 200
    for _, writer in slow:
        writer.close()


async def test_connections_without_a_request_are_closed_for_new_ones_and_others_stay(running: Running) -> None:
    running.admission.load.limits = ConcurrencyLimits(connections=20)
    reader, writer = await running.raw()
    content = head_of(len(body(pod(APP)))) + body(pod(APP))
    writer.write(content)
    assert (await reader.readuntil(b"}}}")).startswith(b"HTTP/1.1 200")
    idle = [await running.raw() for _ in range(60)]
    assert (await running.post(body(pod(APP))))[0] == 200
    await until(lambda: sum(one.at_eof() for one, _ in idle) >= 40, "the oldest ones to be closed")
    assert not reader.at_eof()
    writer.write(content)
    assert (await reader.readuntil(b"}}}")).startswith(b"HTTP/1.1 200")
    for _, each in (*idle, (reader, writer)):
        each.close()


async def test_connections_without_a_request_are_closed_at_once_though_they_answer_no_shutdown(
    running: Running,
) -> None:
    running.admission.load.limits = ConcurrencyLimits(connections=5)

    silent = [await asyncio.to_thread(running.silent) for _ in range(5)]
    async with asyncio.timeout(10):  # much less than TLS waits for a farewell
        assert (await running.post(body(pod(APP))))[0] == 200
    for each in silent:
        each.close()


async def test_connections_without_a_handshake_are_closed_for_new_ones(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Their own time-out makes none. They make it one after the other, each after a pause that a busy machine stretches.
    monkeypatch.setattr(acceptor, "HANDSHAKE_SECONDS", 3600.0)
    running.admission.load.limits = ConcurrencyLimits(connections=20)
    mute = [await asyncio.open_connection("localhost", running.port) for _ in range(60)]
    assert (await running.post(body(pod(APP))))[0] == 200
    for _, writer in mute:
        writer.close()


async def test_body_that_does_not_come_is_given_up_when_the_api_server_has(running: Running) -> None:
    reader, writer = await running.raw()
    writer.write(head_of(100, "/mutate?timeout=100ms") + b"half")
    async with asyncio.timeout(30):
        answer = await reader.readuntil(b" s\n")
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"the body did not arrive within 0.1 s" in answer
    writer.close()


async def test_namespace_too_new_to_be_known_is_asked_for_once_per_request(running: Running) -> None:
    asked = []

    async def ask(name: str) -> Labels | None:
        asked.append(name)
        return {"team": "blue"}

    running.state.get_namespace_labels = ask
    status, text = await running.post(body(pod("blue.example.com/app"), namespace="new"))
    assert status == 200
    assert "patch" in json.loads(text)["response"]
    assert asked == ["new"]


async def test_namespace_that_no_namespace_can_be_called_is_not_asked_for(running: Running) -> None:
    asked = []

    async def ask(name: str) -> Labels | None:
        asked.append(name)
        return None

    running.state.get_namespace_labels = ask
    assert (await running.post(body(pod(APP), namespace="x" * 63)))[0] == 200
    assert (await running.post(body(pod(APP), namespace="x" * 64)))[0] == 200
    assert asked == ["x" * 63]
