// Reads the API by GET only and shows the responses. Texts are inserted as text nodes, so no name can become markup.
"use strict";

const REFRESH = 10000, PAGE = 100, MOST = 1000;
const byId = (id) => document.getElementById(id);
let pool = null, namespace = "", image = null, wanted = PAGE, typing = 0, round = 0, asking = 0, turn = Promise.resolve();

// Built from the origin: fetch rejects relative URLs on a page whose address has a name and a password.
async function ask(path) {
  const answer = await fetch(new URL("/api/v1" + path, location.origin), { headers: { Accept: "application/json" } })
    .catch(() => { throw new Error("the service does not answer: check that it runs and that the network reaches it"); });
  const found = await answer.json().catch(() => null);
  if (answer.ok && found) return found;
  const said = found?.detail ?? found?.title ?? "a proxy answered instead of the service";
  const way = answer.status === 401 ? "; reload this page to sign in" : "";
  throw Object.assign(new Error(said + " (HTTP " + answer.status + ")" + way), { answered: true });
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}
const cell = (content, kind = null) => element("td", { class: kind }, content === null ? "–" : content);
const head = (content) => element("th", { scope: "row" }, content);
const badge = (text, kind) => element("span", { class: "badge " + kind }, text);
const faint = (text) => element("div", { class: "faint" }, text);
const both = (...parts) => { const all = document.createDocumentFragment(); all.append(...parts); return all; };

function size(bytes) {
  if (bytes === null) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let step = 0;
  while (bytes >= 1024 && step < units.length - 1) { bytes /= 1024; step += 1; }
  return (step === 0 || bytes >= 100 ? Math.round(bytes) : +bytes.toFixed(bytes >= 10 ? 1 : 2)) + " " + units[step];
}
function moment(text) {
  if (!text) return "–";
  const shown = text.slice(0, 16).replace("T", " ");
  return element("time", { datetime: text, title: text }, shown);
}
function bar(share, text) {
  const percent = Math.min(100, Math.max(0, share * 100));
  const inner = element("span"), label = text ?? (percent > 0 && percent < 1 ? "< 1" : Math.round(percent)) + " %";
  inner.style.width = percent + "%";
  const meter = { role: "meter", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(percent), "aria-label": label };
  return element("span", { class: "bar" + (percent >= 85 && !text ? " full" : "") },
    element("span", meter, inner), element("span", { "aria-hidden": "true" }, label));
}

// In narrow windows the cells are below each other, each after its heading.
function labelled(section, row) {
  const headings = section.querySelectorAll("thead th");
  [...row.children].forEach((one, place) => one.setAttribute("data-label", headings[place].textContent));
  return row;
}

// Shows one section: its rows, or the reason why there are none.
function show(id, rows, empty, problem = null) {
  const section = byId(id), notice = section.querySelector(".notice");
  section.querySelector("tbody").replaceChildren(...rows.map((row) => labelled(section, row)));
  section.querySelector(".wide").hidden = rows.length === 0;
  if (notice) {
    notice.hidden = rows.length > 0 && !problem;
    notice.textContent = problem ?? empty;
    notice.classList.toggle("bad", problem !== null);
  }
}
async function section(id, empty, load) {
  const mine = round;
  try {
    const rows = await load();
    if (mine === round) show(id, rows, empty);
  } catch (error) {
    if (mine === round) show(id, [], empty, error.message);
  }
}

function poolRow(one) {
  const limit = one.stored + one.free;
  const link = element("a", { href: address(one.name, "") }, one.name);
  const type = one.type === "replicated" ? "replicated × " + one.replicas : one.type;
  const quota = one.quota.bytes === null ? "–" : size(one.quota.bytes);
  const application = one.applications.includes("rbd") ? one.applications.join(", ")
    : badge(one.applications.join(", ") || "not for images", "warn");
  return element("tr", { "aria-current": one.name === pool ? "true" : null }, head(link),
    cell(limit ? bar(one.stored / limit) : "–"), cell(size(one.stored), "number"),
    cell(one.measured ? size(one.free) : "not known yet", "number"),
    cell(quota, "number"), cell(type, "whole"), cell(String(one.pg_num), "number"), cell(application));
}
function claimText(claim) {
  if (!claim) return null;
  return claim.name ? claim.namespace + "/" + claim.name : claim.volume ?? claim.uid;
}
function nameOf(one, shown = one.name) {
  const what = one.parked ? both(badge("parked", "warn"), " the claim is deleted; snapshots or clones need the image")
    : one.is_clone ? "a clone" : null;
  if (!one.unfinished) return what ? both(shown, faint(what)) : shown;
  const busy = /^operation \S+ is running$|^it is being removed/.test(one.unfinished);
  return both(shown, faint(busy ? both(badge("in progress", "warn"), done(one)) : both(badge("incomplete", "bad"), " ", one.unfinished)));
}
function done(one) {
  if ((one.progress ?? null) === null) return "";
  const minutes = Math.ceil((one.left_seconds ?? 0) / 60);
  const left = minutes > 120 ? Math.round(minutes / 60) + " h left" : minutes ? minutes + " min left" : "";
  return " " + Math.floor(one.progress * 100) + " % removed" + (left ? ", about " + left : "");
}
function imageRow(one) {
  const used = one.used === null ? "–" : bar(one.used / one.size, size(one.used));
  const link = element("a", { href: address(pool, namespace, one.name) }, one.name);
  const claim = one.parked ? both(claimText(one.claim), faint("former claim")) : claimText(one.claim);
  return element("tr", { "aria-current": one.name === image ? "true" : null }, head(nameOf(one, link)), cell(claim, "whole"),
    cell(size(one.size), "number"), cell(used), cell(String(one.snapshot_count), "number"), cell(faint(one.features.join(", ")), "text"), cell(moment(one.created), "moment"));
}
function snapshotRow(one) {
  const other = { trash: "deleted, but clones need it", mirror: "of mirroring", group: "of a group" }[one.kind] ?? one.kind;
  return element("tr", {}, head(one.protected ? both(one.name, faint("protected")) : other ? both(one.name, faint(other)) : one.name),
    cell(size(one.size ?? null), "number"), cell(moment(one.created), "moment"), cell((one.children ?? []).join(", ") || "–", "text"));
}
function aboutImage(one) {
  const mirrored = one.mirroring;
  return [one.parent && "Clone of " + one.parent + ".",
    one.parked && "Parked: the volume of " + claimText(one.claim) + " is deleted. Sutler deletes the image after its last snapshot and clone.",
    mirrored && "Mirrored by " + mirrored.mode + (mirrored.primary ? ", primary." : ", not primary: only mirroring changes the image."),
    one.watchers.length && "In use at " + one.watchers.join(", ") + "."].filter(Boolean).join(" ");
}
function trashRow(one) {
  return element("tr", {}, head(nameOf(one)), cell(claimText(one.claim), "whole"), cell(size(one.size), "number"),
    cell(moment(one.deleted), "moment"), cell(moment(one.until), "moment"));
}
function mappingRow(one) {
  const kind = one.ready === "True" ? "good" : one.ready === "False" ? "bad" : "warn";
  const state = both(badge(one.reason || one.ready, kind), one.message ? faint(one.message) : "");
  const count = one.selected === null ? "–" : one.synced + " of " + one.selected;
  return element("tr", {}, head(one.name), cell(state, "text"), cell(both(...one.registries.map((name) => element("div", {}, name)))),
    cell(one.secret, "whole"), cell(one.mode), cell(count, "number"));
}
function controllerRow(one) {
  const state = one.working ? badge("working", "good") : badge("not working", "bad");
  return element("tr", {}, head(one.name), cell(state), cell(one.holder), cell(moment(one.renewed), "moment"));
}
function operationRow(one) {
  const place = [one.pool, one.namespace, one.image].filter(Boolean).join("/");
  return element("tr", {}, head(one.kind), cell(place), cell(one.progress === null ? "–" : bar(one.progress)), cell(one.by));
}

async function health() {
  const place = byId("health");
  try {
    const { user, ceph } = await ask("/status");
    const kind = { ok: "good", degraded: "warn", down: "bad" }[ceph.status];
    const word = { ok: "Ceph answers", degraded: "Some pools do not answer", down: "Ceph does not answer" }[ceph.status];
    const more = ceph.silent_pools.join(", ") || ceph.reason || ceph.health || "";
    place.replaceChildren(badge(word, kind), " ", element("span", { class: "faint" }, more));
    byId("who").textContent = user;
  } catch (error) {
    place.replaceChildren(badge(error.answered ? "The API returns an error" : "The API does not answer", "bad"), " ", element("span", { class: "faint" }, error.message));
  }
}
async function operations() {
  const running = await ask("/operations").then((found) => found.operations.filter((one) => one.state === "running"), () => []);
  byId("operations").hidden = running.length === 0;
  show("operations", running.map(operationRow), "");
}
async function kubernetes() {
  const mine = round;
  try {
    const found = await ask("/kubernetes");
    if (mine !== round) return;
    const outside = found.connected ? null : "This service runs outside of Kubernetes.";
    show("mappings", found.mappings.map(mappingRow), outside ?? "There are no mappings.");
    show("controllers", found.controllers.map(controllerRow), outside ?? "There are no controllers.");
  } catch (error) {
    show("mappings", [], "", error.message);
    show("controllers", [], "", error.message);
  }
}
const address = (name, inside, chosenImage = "") => "#pool=" + encodeURIComponent(name) +
  (inside ? "&namespace=" + encodeURIComponent(inside) : "") + (chosenImage ? "&image=" + encodeURIComponent(chosenImage) : "");
const listOf = (what, limit = PAGE) => "/pools/" + encodeURIComponent(pool) + "/" + what + "?limit=" + limit +
  (namespace ? "&namespace=" + encodeURIComponent(namespace) : "");

// The list is shown only if there are namespaces. It always has the selected one, which may be deleted.
async function namespaces() {
  const mine = round, select = byId("namespace");
  const found = await ask("/pools/" + encodeURIComponent(pool) + "/namespaces").then((one) => one.namespaces, () => []);
  if (mine !== round) return;
  const names = ["", ...found, ...(namespace && !found.includes(namespace) ? [namespace] : [])];
  if (names.join("/") !== [...select.options].map((one) => one.value).join("/") || !select.options.length) {
    select.replaceChildren(...names.map((name) => element("option", { value: name }, name || "(the default one)")));
  }
  select.value = namespace;
  byId("place").hidden = names.length === 1;
}
// Reads and extensions of the list run one after the other: two at a time would show rows twice.
function images() {
  turn = turn.then(readImages, readImages);
  return turn;
}
async function page(cursor, limit) {
  const prefix = byId("prefix").value;
  const found = await ask(listOf("images", limit) + (prefix ? "&prefix=" + encodeURIComponent(prefix) : "") +
    (cursor ? "&cursor=" + cursor : ""));
  return { rows: found.images.map(imageRow), next: found.next_cursor };
}
function offerMore(next) {
  byId("more").hidden = next === null;
  byId("more").dataset.cursor = next ?? "";
}
async function readImages() {
  if (pool === null) return;
  const empty = byId("prefix").value ? "No image name begins with this text." : "There are no images.";
  await section("images", empty, async () => {
    const mine = round, rows = [];
    let next = null;
    do {
      const found = await page(next, Math.min(MOST, wanted - rows.length));
      rows.push(...found.rows);
      next = found.next;
    } while (next !== null && rows.length < wanted);
    if (mine === round) offerMore(next);
    return rows;
  });
}
async function readMore() {
  const mine = round, body = byId("images").querySelector("tbody"), cursor = byId("more").dataset.cursor;
  if (!cursor) return;
  const found = await page(cursor, PAGE);
  // The list was replaced in the meantime, possibly by that of another pool.
  if (mine !== round || cursor !== byId("more").dataset.cursor) return;
  wanted += PAGE;
  body.append(...found.rows.map((row) => labelled(byId("images"), row)));
  offerMore(found.next);
  const first = found.rows[0]?.querySelector("th");
  if (first) { first.tabIndex = -1; first.focus(); }
}
async function snapshots() {
  byId("snapshots").hidden = pool === null || image === null;
  if (byId("snapshots").hidden) return;
  byId("snapshots-title").textContent = "Snapshots of " + image;
  const path = "/pools/" + encodeURIComponent(pool) + "/images/" + encodeURIComponent(image);
  const mine = round;
  await section("snapshots", "There are no snapshots.", async () => {
    // It changes with the answer, not before: a page that is only read again does not flicker.
    let about = "";
    try {
      const found = await ask(path + (namespace ? "?namespace=" + encodeURIComponent(namespace) : ""));
      about = aboutImage(found);
      return [...found.snapshots, ...found.other_snapshots].map(snapshotRow);
    } finally {
      if (mine === round) byId("about").textContent = about;
    }
  });
}
async function poolParts() {
  for (const id of ["images", "snapshots", "trash"]) byId(id).hidden = pool === null;
  if (pool === null) return;
  const place = namespace ? pool + "/" + namespace : pool;
  byId("images-title").textContent = "Images in " + place;
  byId("trash-title").textContent = "Trash of " + place;
  await Promise.all([namespaces(), images(), snapshots(), section("trash", "The trash is empty.", async () =>
    (await ask(listOf("trash"))).entries.map(trashRow))]);
}
async function refresh() {
  round += 1;
  asking += 1;
  await Promise.all([health(), operations(), kubernetes(), poolParts(),
    section("pools", "There are no pools.", async () => (await ask("/pools")).pools.map(poolRow))]).finally(() => { asking -= 1; });
  byId("fresh").textContent = "Last update: " + new Date().toTimeString().slice(0, 8) + ", repeated every ten seconds.";
}

function chosen() {
  // Other fragments are positions on the page and select nothing.
  const asked = new URLSearchParams(location.hash.slice(1));
  if (asked.has("pool")) [pool, namespace, image] = [asked.get("pool"), asked.get("namespace") ?? "", asked.get("image")];
  wanted = PAGE;
  byId("prefix").value = "";
  byId("about").textContent = "";
}
addEventListener("hashchange", async () => {
  if (!location.hash.startsWith("#pool=")) return;
  chosen();
  await refresh();
  if (pool !== null && document.activeElement !== byId("namespace")) byId(image === null ? "images" : "snapshots").focus({ preventScroll: false });
});
byId("namespace").addEventListener("change", () => { location.hash = address(pool, byId("namespace").value); });
byId("prefix").addEventListener("input", () => {
  clearTimeout(typing);
  wanted = PAGE;
  typing = setTimeout(() => { round += 1; images(); }, 250);
});
byId("more").addEventListener("click", async () => {
  const more = byId("more"), said = byId("images").querySelector(".notice");
  more.disabled = true;
  turn = turn.then(readMore, readMore);
  await turn.catch((error) => { said.hidden = false; said.textContent = error.message; said.classList.add("bad"); });
  more.disabled = false;
});
// A hidden page sends no requests. While a response is late, the page waits for it instead of sending another request.
const again = () => { if (!document.hidden && asking === 0) refresh(); };
setInterval(again, REFRESH);
document.addEventListener("visibilitychange", again);
chosen();
refresh();
