"""The HTML pages, in a real browser."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rbd

from tests.api.browser import Browser
from tests.api.client import ADMIN, EDITOR, VIEWER, Api
from tests.api.conftest import Service
from tests.cluster import Ceph, Place, wait_for

pytestmark = pytest.mark.skipif(shutil.which("chromedriver") is None, reason="needs Debian's chromium-driver")


@pytest.fixture(scope="module")
def browser(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    started = Browser(place, tmp_path_factory.mktemp("browser"))
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture
def filled(pool: str, ioctx: Any) -> str:
    """A pool with an image of a claim, one without an owner, and an entry in the trash."""
    librbd = rbd.RBD()
    for name, features in (("claimed", 61), ("free", 1), ("thrown", 1)):
        librbd.create(ioctx, name, 1 << 30, old_format=False, features=features)
    with rbd.Image(ioctx, "claimed") as image:
        image.metadata_set("csi.storage.k8s.io/pvc/name", "data")
        image.metadata_set("csi.storage.k8s.io/pvc/namespace", "shop")
        image.write(b"x", 0)
    librbd.trash_move(ioctx, "thrown", 3600)
    return pool


def test_overview_shows_pools_images_claims_and_trash(browser: Browser, service: Service, filled: str) -> None:
    browser.open(f"{service.url}/ui", token=VIEWER)
    browser.until("#pools tbody", filled)
    browser.until("#health", "Ceph answers")
    assert browser.text("#who") == "vera"
    browser.run("[...document.querySelectorAll('#pools a')].find(a => a.textContent === arguments[0]).click()", filled)
    browser.until("#images tbody", "claimed")
    row = browser.text("#images tbody tr:first-child")
    for said in ("claimed", "shop/data", "1 GiB", "4 MiB", "layering"):
        assert said in row
    assert "thrown" in browser.until("#trash tbody", "thrown")
    assert "outside of Kubernetes" in browser.text("#mappings")
    assert browser.complaints() == []


def test_snapshots_of_an_image_are_shown_and_a_parked_image_names_its_former_claim(
    browser: Browser, service: Service, filled: str, ioctx: Any, ceph: Ceph
) -> None:
    with rbd.Image(ioctx, "claimed") as image:
        image.create_snap("monday")
        ids = {"pool-id": str(ioctx.get_pool_id()), "image-id": image.id(), "uid": "u1"}
        for key, value in {**ids, "parked": f"{image.id()} u1 remove"}.items():
            image.metadata_set(f"sutler.dev/{key}", value)
    ceph.rbd("clone", "--rbd-default-clone-format", "2", f"{filled}/claimed@monday", f"{filled}/child")
    browser.open(f"{service.url}/ui#pool={filled}", token=VIEWER)
    browser.until("#images tbody", "child")
    rows = "return [...document.querySelectorAll('#images tbody tr')].map(one => one.innerText)"
    row = next(one for one in browser.run(rows) if "claimed" in one)
    assert "parked" in row
    assert "former claim" in row
    assert browser.run("return document.getElementById('snapshots').hidden") is True
    browser.run("[...document.querySelectorAll('#images a')].find(a => a.textContent === 'claimed').click()")
    assert f"{filled}/child" in browser.until("#snapshots tbody", "monday")
    browser.until("#about", "Parked: the volume of shop/data is deleted")
    browser.run("[...document.querySelectorAll('#images a')].find(a => a.textContent === 'child').click()")
    browser.until("#about", f"Clone of {filled}/claimed@monday")
    browser.until("#snapshots .notice", "There are no snapshots")
    assert browser.complaints() == []


def test_fill_of_a_pool_is_a_bar_with_its_number(browser: Browser, service: Service, filled: str, ceph: Ceph) -> None:
    ceph.ceph("osd", "pool", "set-quota", filled, "max_bytes", str(8 << 20))
    ceph.rbd("bench", "--io-type", "write", "--io-size", "1M", "--io-total", "4M", f"{filled}/claimed")
    script = """const rows = [...document.querySelectorAll('#pools tbody tr')];
        const meter = rows.find(r => r.textContent.includes(arguments[0])).querySelector('[role=meter]');
        return meter && [+meter.ariaValueNow, meter.firstChild.offsetWidth / meter.offsetWidth]"""

    def bar() -> list[float] | None:
        browser.open(f"{service.url}/ui", token=VIEWER)
        browser.until("#pools tbody", filled)
        found: list[float] | None = browser.run(script, filled)
        return found if found and found[0] >= 40 else None

    percent, width = wait_for(bar, "Ceph's statistics to reach the page")
    assert abs(width * 100 - percent) < 2


def test_everything_is_reached_by_keyboard(browser: Browser, service: Service, filled: str) -> None:
    browser.open(f"{service.url}/ui", token=VIEWER)
    browser.until("#pools tbody", filled)
    focused = "const e = document.activeElement; return e.tagName + ' ' + e.textContent.trim()"
    reached = []
    for _ in range(40):
        browser.press("tab")
        reached.append(browser.run(focused))
        if reached[-1] == f"A {filled}":
            break
    assert reached[0] == "A Skip to the pools"
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.run(outline) == "solid", "one has to see where one is"
    browser.press("enter")
    browser.until("#images tbody", "claimed")
    wait_for(
        lambda: browser.run("return document.activeElement.id") == "images", "the list of images to have the focus"
    )
    browser.press("tab", "f", "r")
    wait_for(lambda: browser.text("#images tbody th") == "free", "the list to be filtered by what was typed")


def test_list_goes_on_page_by_page(browser: Browser, service: Service, pool: str, ioctx: Any) -> None:
    for number in range(130):
        rbd.RBD().create(ioctx, f"image-{number:03}", 1 << 20, old_format=False, features=1)
    count = "return document.querySelectorAll('#images tbody tr').length"
    browser.open(f"{service.url}/ui#pool={pool}", token=VIEWER)
    browser.until("#images tbody", "image-099")
    assert browser.run(count) == 100
    browser.run("document.getElementById('more').click()")
    browser.until("#images tbody", "image-129")
    assert browser.run(count) == 130
    assert browser.run("return document.getElementById('more').hidden") is True


def test_button_that_is_pressed_many_times_asks_once_for_what_is_not_there_yet(
    browser: Browser, service: Service, pool: str, ioctx: Any
) -> None:
    for number in range(250):
        rbd.RBD().create(ioctx, f"image-{number:03}", 1 << 20, old_format=False, features=1)
    browser.open(f"{service.url}/ui#pool={pool}", token=VIEWER)
    browser.until("#images tbody", "image-099")
    browser.run("""const real = fetch; window.asked = [];
        window.fetch = (...one) => { asked.push(String(one[0])); return real(...one); };
        const more = document.getElementById('more'); more.click(); more.click(); more.click();""")
    browser.until("#images tbody", "image-199")
    pages = "return asked.filter(path => path.includes('/images?'))"
    assert len([path for path in browser.run(pages) if "cursor=" in path]) == 1
    assert browser.run("return document.activeElement.textContent") == "image-100"
    browser.run("document.getElementById('more').click()")
    browser.until("#images tbody", "image-249")
    # Asked again, the whole of it comes in one answer, and stays as long as it was.
    browser.run("asked.length = 0; document.dispatchEvent(new Event('visibilitychange'))")
    wait_for(lambda: browser.run(pages), "it to ask again")
    wait_for(lambda: browser.run("return asking") == 0, "the answers")
    assert len(browser.run(pages)) == 1
    names = browser.run("return [...document.querySelectorAll('#images tbody th')].map(e => e.textContent)")
    assert names == [f"image-{number:03}" for number in range(250)]


def test_phone_shows_every_cell_with_its_heading(browser: Browser, service: Service, filled: str) -> None:
    browser.open(f"{service.url}/ui#pool={filled}", token=VIEWER, size=(360, 740))
    browser.until("#images tbody", "claimed")
    outside = """return [...document.querySelectorAll('#images td, #trash td, #pools td')]
        .filter(e => { const r = e.getBoundingClientRect(); return r.right > 360 || r.left < 0 || r.height > 120; })
        .map(e => e.textContent)"""
    assert browser.run(outside) == []
    assert browser.run("return document.documentElement.scrollWidth") <= 360
    said = "return getComputedStyle(document.querySelector('#images td'), '::before').content"
    assert browser.run(said) == '"Claim"'
    assert browser.run("return getComputedStyle(document.querySelector('#images td')).display") == "flex"


@pytest.mark.parametrize(
    ("answer", "badge", "words"),
    [
        ("Promise.reject(new TypeError('Failed to fetch'))", "The API does not answer", "the service does not answer"),
        ("new Response('<html>', {status: 502})", "The API returns an error", "instead of the service (HTTP 502)"),
        ("new Response('<html>', {status: 200})", "The API returns an error", "instead of the service (HTTP 200)"),
        ('new Response(\'{"title": "Unknown"}\', {status: 401})', "The API returns an error", "reload this page"),
        ('new Response(\'{"detail": "no space"}\', {status: 507})', "The API returns an error", "no space (HTTP 507)"),
    ],
)
def test_errors_have_words(
    browser: Browser, service: Service, filled: str, answer: str, badge: str, words: str
) -> None:
    browser.open(f"{service.url}/ui#pool={filled}", token=VIEWER)
    browser.until("#images tbody", "claimed")
    browser.until("#fresh", "Last update")
    browser.run(f"window.fetch = async () => {answer}; document.dispatchEvent(new Event('visibilitychange'))")
    assert words in browser.until("#health", badge)
    assert words in browser.until("#images .notice", words)
    assert "Failed to fetch" not in browser.text("body")


def test_images_and_trash_of_a_rados_namespace_are_shown(
    browser: Browser, service: Service, filled: str, ioctx: Any
) -> None:
    librbd = rbd.RBD()
    librbd.namespace_create(ioctx, "team-a")
    ioctx.set_namespace("team-a")
    for name in ("theirs", "theirs-thrown"):
        librbd.create(ioctx, name, 1 << 20, old_format=False, features=1)
    librbd.trash_move(ioctx, "theirs-thrown", 3600)
    browser.open(f"{service.url}/ui#pool={filled}", token=VIEWER)
    browser.until("#images tbody", "claimed")
    browser.until("#namespace", "team-a")
    assert "theirs" not in browser.text("#images tbody")
    browser.run("document.getElementById('namespace').focus()")
    browser.press("down")
    assert "claimed" not in browser.until("#images tbody", "theirs")
    browser.until("#trash tbody", "theirs-thrown")
    assert browser.run("return document.activeElement.id") == "namespace", "who chooses by keyboard goes on choosing"
    assert f"{filled}/team-a" in browser.text("#images-title")
    assert browser.complaints() == []


def test_answers_that_take_their_time_are_shown_in_the_end(browser: Browser, service: Service, filled: str) -> None:
    """Asking again before they are there would throw them away, each time."""
    browser.open(f"{service.url}/ui#pool={filled}", token=VIEWER)
    browser.until("#images tbody", "claimed")
    browser.until("#fresh", "Last update")
    browser.run("""const real = fetch; window.held = []; window.asked = 0;
        window.fetch = (...one) => {
          window.asked += 1;
          return new Promise((go) => held.push(() => go(real(...one)))); };
        document.querySelector('#images tbody').replaceChildren();""")
    wait_for(lambda: browser.run("document.dispatchEvent(new Event('visibilitychange')); return asked"), "it to ask")
    asked = browser.run("return asked")
    browser.run("document.dispatchEvent(new Event('visibilitychange'))")
    assert browser.run("return asked") == asked
    browser.run("held.forEach((go) => go())")
    browser.until("#images tbody", "claimed")


@pytest.mark.parametrize("fragment", ["#pool=%", "#pool=%ff", "#&&", "#%"])
def test_address_that_is_broken_breaks_no_page(browser: Browser, service: Service, fragment: str) -> None:
    browser.open(f"{service.url}/ui{fragment}", token=VIEWER)
    browser.until("#health", "Ceph answers")
    assert [one for one in browser.complaints() if "Uncaught" in one] == []


def test_names_with_any_characters_are_shown_as_text(browser: Browser, service: Service, pool: str, ioctx: Any) -> None:
    evil = "<img src=x onerror=document.title='broken'>"
    rbd.RBD().create(ioctx, evil, 1 << 20, old_format=False, features=1)
    browser.open(f"{service.url}/ui#pool={pool}", token=VIEWER)
    browser.until("#images tbody", evil)
    assert browser.run("return document.title") == "Sutler"
    assert browser.complaints() == []


@pytest.mark.parametrize("page", ["/ui", "/docs"])
def test_page_needs_nothing_from_elsewhere_and_changes_nothing(browser: Browser, service: Service, page: str) -> None:
    browser.open(f"{service.url}{page}", token=EDITOR)
    wait_for(lambda: browser.run("return document.readyState") == "complete", "the page")
    loaded = browser.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert loaded
    assert [url for url in loaded if not url.startswith(f"{service.url}/")] == []
    assert browser.complaints() == []


def test_page_only_ever_reads() -> None:
    script = (Path(__file__).parents[2] / "provisioner/api/pages/ui.js").read_text()
    assert script.count("fetch(") == 1
    assert not re.search(r"method:|POST|PATCH|DELETE|innerHTML|eval\(", script)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("page", ["/ui", "/docs"])
def test_text_can_be_read_in_light_and_dark(browser: Browser, service: Service, page: str, dark: bool) -> None:
    """Contrast of at least 4.5, as WCAG's level AA asks for, of every text against what is behind it."""
    browser.open(f"{service.url}{page}", token=VIEWER, dark=dark)
    wait_for(lambda: browser.text("main"), "the page")
    wait_for(lambda: page == "/docs" or browser.text("#fresh"), "its contents")
    assert browser.run(_CONTRAST) == []


_CONTRAST = """
const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
const linear = (c) => c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
const light = ([r, g, b]) => [r, g, b].map((c) => linear(c / 255))
  .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
const ground = (e) => { for (; e; e = e.parentElement) {
  const c = getComputedStyle(e).backgroundColor; if (/^rgb\\(/.test(c)) return rgb(c); } return [255, 255, 255]; };
const bad = [];
for (const e of document.querySelectorAll('body *')) {
  if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || !e.checkVisibility()) continue;
  const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
  if ((a + .05) / (b + .05) < 4.5) bad.push(e.tagName + '.' + e.className + ': ' + e.textContent.trim().slice(0, 40));
}
return bad;
"""


def test_narrow_window_scrolls_tables_and_not_the_page(browser: Browser, service: Service, filled: str) -> None:
    browser.open(f"{service.url}/ui#pool={filled}", token=VIEWER, size=(390, 800))
    browser.until("#images tbody", "claimed")
    assert browser.run("return document.documentElement.scrollWidth") <= 390


def test_what_one_may_not_see_is_said_in_its_place(browser: Browser, service: Service, api: Api) -> None:
    browser.open(f"{service.url}/ui#pool=nowhere", token=ADMIN)
    assert "pool nowhere does not exist" in browser.until("#images", "does not exist")
    assert api.get("/pools").status == 200


def test_documentation_tells_of_every_endpoint_and_problem(browser: Browser, service: Service, api: Api) -> None:
    browser.open(f"{service.url}/docs#invalid", token=VIEWER)
    text = browser.until("main", "/api/v1/pools")
    document = Api(api.url, api.authority, token=VIEWER, base="").get("/openapi.json").json
    assert [path for path in document["paths"] if path not in text] == []
    wanted = browser.text("#schema-ImageCreate")
    assert ("size (required)" in wanted, "order (required)" in wanted) == (True, False)
    assert browser.run("return document.querySelector(':target').textContent") == "invalid"
