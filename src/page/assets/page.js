// Keeps the page as the node is: when something happens, and every few seconds, the same address is asked for again and
// what carries data-live is exchanged. All HTML is made by the daemon; nothing here makes any out of text.
"use strict";
(() => {
  const LOOK_MS = 5000;      // without an event
  const SOON_MS = 700;       // after one: several at once are one look
  const PLOT_MS = 180000;
  const live = document.getElementById("live");
  let timer = 0, busy = false, lastLook = Date.now(), source = null;

  const say = (text) => { if (live.textContent !== text) live.textContent = text; };

  // What somebody is at stays as it is: open lines stay open, a field keeps what was typed, a button keeps the focus.
  const isBeingUsed = (region) => {
    const at = document.activeElement;
    const typing = at && region.contains(at) && at.matches("input, select, textarea");
    return typing || region.querySelector("details.ask[open]") !== null;
  };

  const exchange = (region, fresh) => {
    const open = new Map([...region.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
    fresh.querySelectorAll("details[id]").forEach((one) => { if (open.has(one.id)) one.open = open.get(one.id); });
    if (region.isEqualNode(fresh)) return;
    const at = document.activeElement;
    const key = at && region.contains(at) ? keyOf(at) : null;
    region.replaceWith(fresh);
    if (key) [...fresh.querySelectorAll("a, button, summary")].find((one) => keyOf(one) === key)?.focus({ preventScroll: true });
  };

  const keyOf = (one) => one.id || one.getAttribute("href") || (one.parentElement && one.parentElement.id) || one.textContent;

  const look = async () => {
    if (busy || document.hidden) return;
    busy = true;
    lastLook = Date.now();
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", redirect: "manual" });
      if (answer.type === "opaqueredirect") { say("Signed out: load the page again."); return; }
      const text = await answer.text();
      if (!answer.ok) { say("The daemon answers " + answer.status + "."); return; }
      const fresh = new DOMParser().parseFromString(text, "text/html");
      for (const region of document.querySelectorAll("[data-live]")) {
        const other = fresh.getElementById(region.id);
        if (other && !isBeingUsed(region)) exchange(region, document.importNode(other, true));
      }
      plot();
      say("Live");
    } catch {
      say("The daemon does not answer; trying again.");
    } finally {
      busy = false;
    }
  };

  const soon = () => { if (!timer) timer = setTimeout(() => { timer = 0; look(); }, SOON_MS); };

  // Rates of the last minutes, from right to left; they are kept while this window goes from view to view.
  const KEPT = "tabletd-rates";
  let samples = {};
  try { samples = JSON.parse(sessionStorage.getItem(KEPT)) || {}; } catch { /* begins anew */ }
  const plot = () => {
    const now = Date.now();
    for (const svg of document.querySelectorAll("svg[data-plot]")) {
      const kept = (samples[svg.dataset.plot] || []).filter((one) => now - one[0] < PLOT_MS);
      kept.push([now, Number(svg.dataset.in), Number(svg.dataset.out)]);
      samples[svg.dataset.plot] = kept;
      const most = Math.max(1, ...kept.map((one) => Math.max(one[1], one[2])));
      ["in", "out"].forEach((name, column) => {
        const point = (one) => `${120 - (120 * (now - one[0])) / PLOT_MS},${23 - (22 * one[column + 1]) / most}`;
        svg.querySelector("." + name).setAttribute("points", kept.map(point).join(" "));
      });
    }
    try { sessionStorage.setItem(KEPT, JSON.stringify(samples)); } catch { /* there is no room: only this view has them */ }
  };

  // On the page of events, rows are added as they come.
  const rows = document.getElementById("event-rows");
  const cell = (row, text, href) => {
    const td = row.insertCell();
    if (!href) { td.textContent = text; return; }
    const a = document.createElement("a");
    a.href = href;
    a.textContent = text;
    td.append(a);
  };
  const told = (message) => {
    const event = JSON.parse(message.data);
    const row = rows.insertRow(0);
    cell(row, event.at);
    cell(row, String(event.migration_id), "/ui/migrations/" + Number(event.migration_id));
    cell(row, String(event.tablet_id ?? ""));
    cell(row, event.status || [event.step, event.step_status].join(" "));
    cell(row, event.status_reason || "");
    while (rows.rows.length > 500) rows.deleteRow(-1);
  };

  const listen = () => {
    source = new EventSource("/api/v1/events");
    for (const kind of ["status", "step", "progress", "reset"]) source.addEventListener(kind, soon);
    if (rows) for (const kind of ["status", "step"]) source.addEventListener(kind, told);
    source.addEventListener("open", () => say("Live"));
    // A closed source does not try again by itself: the timer looks meanwhile.
    source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) setTimeout(listen, LOOK_MS * 3); });
  };

  if (document.querySelector("[data-live]") || rows) {
    plot();
    listen();
    setInterval(() => { if (Date.now() - lastLook >= LOOK_MS) look(); }, 1000);
    document.addEventListener("visibilitychange", soon);
    window.addEventListener("pagehide", () => source && source.close());
    window.addEventListener("pageshow", (event) => { if (event.persisted) { listen(); soon(); } });
  }
})();
