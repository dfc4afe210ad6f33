/**
 * The sentences of the page, made from the current picture. Pure. Sentences about things that the server knows better
 * (why a session ended) come from the server.
 */

import { spell } from "./clock.js";
import { CLOSE_CODES } from "./protocol.js";

/** @typedef {import("./view.js").Picture} Picture */
/** @typedef {import("./protocol.js").Snapshot} Snapshot */
/** @typedef {import("./flow.js").Sending} Sending */
/** @typedef {import("./media.js").Want} Want */
/** @typedef {import("./waits.js").What} What */
/** @typedef {{ lost: Want, silenced: Want, sending: Sending }} DeviceState see `Devices` in media.js */

/** If the next search begins sooner than this, the page does not show the time until then. */
const LONG_WAIT_MS = 2_000;
/** One failed call can have many reasons. Several in a row suggest this network. */
const FAILED_CALLS_MIN = 2;
const UNREAD_MAX = 99;

const RETURNS = "It is used again when it is back.";
const KINDS = /** @type {const} */ (["video", "audio"]);
const DEVICES = {
  video: { name: "camera", nothing: "gives no picture", something: "gives a picture", sensed: "seen" },
  audio: { name: "microphone", nothing: "gives no sound", something: "gives sound", sensed: "heard" },
};

/** Does the next search begin so late that one is told when? @param {Snapshot} snapshot */
export function isLongWait({ search_again_ms }) {
  return search_again_ms !== null && search_again_ms > LONG_WAIT_MS;
}

/** Is a session over, without another search to come? @param {Snapshot} snapshot */
export function rests({ state, search_again_ms }) {
  return state === "ended" && search_again_ms === null;
}

/** The text below Find Partner: what pressing it does, or what it waits for. @param {Picture} picture */
export function findHint({ step, link, choice }) {
  const devices = devicesOf(choice);
  switch (step) {
    case null:
      return devices ? `This turns on your ${devices}.` : "Your camera and microphone stay off.";
    case "devices":
      return `Allow your ${devices} when the browser asks.`;
    case "line":
      return link.status === "waiting"
        ? "The server cannot be reached just now. Trying again…"
        : "Connecting…";
    case "search":
      return link.status === "open" ? "One moment…" : "The search begins when the connection is back.";
    default:
      return "One moment…";
  }
}

/**
 * Sentences for changes of devices that are in use.
 * @param {DeviceState} before @param {DeviceState} now
 * @returns {string[]}
 */
export function deviceNews(before, now) {
  return KINDS.flatMap((kind) => {
    const { name, nothing, something } = DEVICES[kind];
    const [lost, found] = change(before.lost[kind], now.lost[kind]);
    const [silenced, audible] = change(before.silenced[kind], now.silenced[kind]);
    if (lost) return `Your ${name} was unplugged, or another program took it. ${RETURNS}`;
    if (found && now.sending[kind]) return `Your ${name} is back.`;
    if (silenced) return `Your ${name} ${nothing}: its own switch, the system or the browser keeps it off.`;
    return audible && now.sending[kind] ? `Your ${name} ${something} again.` : [];
  });
}

/** Has it begun, and has it ended? @param {boolean} before @param {boolean} now */
function change(before, now) {
  return [!before && now, before && !now];
}

/** @param {Want} choice */
function devicesOf({ audio, video }) {
  return [video && "camera", audio && "microphone"].filter(Boolean).join(" and ");
}

/** @param {Picture} picture */
export function linkNote({ link, waits, welcomed }) {
  if (link.status === "waiting" && link.message) {
    const at = new Date(Date.now() + link.until - performance.now());
    const time = at.toLocaleTimeString([], { hour: "numeric", minute: "2-digit", second: "2-digit" });
    return `${link.message} Reconnecting at ${time}.`;
  }
  const down = link.status === "waiting" || (link.status === "connecting" && welcomed);
  if (!down) return "";
  const long = waits.link?.overdue === true;
  return long
    ? "Still no connection to the server. Check your network; the page goes on trying."
    : "Reconnecting…";
}

/** @param {{ online: number, searching: number }} presence */
export function crowd({ online, searching }) {
  return `${online} ${online === 1 ? "person" : "people"} here, ${searching} searching`;
}

/** The number of unread texts. @param {number} unread */
export function unreadCount(unread) {
  return unread > UNREAD_MAX ? `${UNREAD_MAX}+` : String(unread);
}

/** @param {Pick<Picture, "snapshot" | "unread">} picture */
export function pageTitle({ snapshot: { state, partner }, unread }) {
  const count = unread > 0 ? `(${unreadCount(unread)}) ` : "";
  if (state === "searching") return "Finding a Partner… · studymatch";
  if (state === "connecting") return "Waiting for partner… · studymatch";
  if (state === "connected") return `${count}${partner?.name} · studymatch`;
  return "studymatch";
}

/** The heading of the hall. @param {Snapshot} snapshot @param {number} passed_ms since it arrived */
export function hallTitle(snapshot, passed_ms) {
  if (snapshot.state === "searching") return "Finding a Partner…";
  if (rests(snapshot)) return "Session over";
  if (!isLongWait(snapshot)) return "Searching again…";
  return `Searching again in ${spell((snapshot.search_again_ms ?? 0) - passed_ms + 999)}`;
}

/**
 * Whether this person's network may be the reason why a call could not be set up. After `connect_failed`, the server
 * searches again by itself only if the partner's browser failed.
 * @param {Snapshot} snapshot
 */
export function mayBeNetwork(snapshot) {
  if (snapshot.state !== "ended") return false;
  return snapshot.cause === "connect_timeout" || (snapshot.cause === "connect_failed" && rests(snapshot));
}

/** Advice after several calls in a row that could not be set up. @param {number} failedCalls in a row */
export function networkAdvice(failedCalls) {
  if (failedCalls < FAILED_CALLS_MIN) return "";
  return (
    `The last ${failedCalls} calls could not be set up. Your network may block video calls:` +
    " try another one, for example that of your phone."
  );
}

/** In place of a partner's video. @param {string} name @param {Snapshot} snapshot @param {Sending | null} sending the media that the partner has announced */
export function seatNote(name, { state }, sending) {
  if (state === "connecting") return `Connecting you with ${name}…`;
  if (!sending || sending.video) return "";
  return sending.audio ? `${name}'s camera is off` : `${name}'s camera and microphone are off`;
}

/** Across the call: what is wrong with it. @param {string} name @param {Picture} picture */
export function stageNote(name, { snapshot, waits, link }) {
  const interrupted = waits.mend !== null;
  const away = snapshot.partner?.away === true;
  if (snapshot.state !== "connected") {
    return away ? `${name}'s connection dropped. Waiting for them to come back…` : "";
  }
  if (interrupted && waits.mend?.overdue) {
    return `${pathLost(name, away, link.status === "open")} You can wait, or go on to the next person.`;
  }
  if (interrupted && away) return `${name}'s connection dropped. Waiting for them to come back…`;
  if (interrupted) return "The call is interrupted. Bringing it back…";
  return away ? `${name} has no connection to the server just now. The call goes on.` : "";
}

/** @param {string} name @param {boolean} away @param {boolean} up */
function pathLost(name, away, up) {
  if (!up) return "Your network is down, and the call with it.";
  if (away) return `${name} is out of reach.`;
  return `There is no way through the network to ${name} any more.`;
}

/** @param {import("./signaling.js").Link & { status: "stopped" }} link */
export function stoppedTitle({ code }) {
  if (code === CLOSE_CODES.CONNECTED_ELSEWHERE) return "You are in another tab";
  return code === CLOSE_CODES.BAD_TOKEN ? "You cannot come in now" : "The connection has ended";
}

/**
 * Why the server has no actor for this page after a reconnection. After a short silence the server must have restarted;
 * after a long one, it may have restarted, or the grace was over.
 * @param {number} silent_ms since the last frame of the server @param {number} grace_ms how long it keeps an actor
 */
export function placeLost(silent_ms, grace_ms) {
  return silent_ms < grace_ms
    ? "The server was restarted, and your place was lost with it."
    : "There was no connection to the server for a while, and your place was lost.";
}

/**
 * The announcements for screen readers: what has changed from one picture to the next. They leave out what a live region
 * or the newly focused element says already, so that nobody hears the same twice.
 * @param {Picture} before @param {Picture} now
 * @returns {string[]}
 */
export function news(before, now) {
  const moved = before.snapshot.state !== now.snapshot.state;
  const returned = linkNote(before) !== "" && now.link.status === "open";
  return [
    ...(returned ? ["Connected again."] : []),
    ...(moved ? [announcement(now.snapshot)] : []),
    ...callNews(before, now),
  ];
}

/** Changes in a call that goes on. @param {Picture} before @param {Picture} now */
function callNews(before, now) {
  const { session, partner } = now.snapshot;
  if (!partner || session !== before.snapshot.session) return [];
  const changes = [];
  if (before.snapshot.partner?.away && !partner.away) changes.push(`${partner.name} is back.`);
  if (before.waits.mend && !now.waits.mend && now.partner) changes.push("The call goes on.");
  return [...changes, ...sendingNews(partner.name, before.partnerSending, now.partnerSending)];
}

/** A partner who has announced nothing yet is assumed to send both. @param {string} name @param {Sending | null} before @param {Sending | null} now */
function sendingNews(name, before, now) {
  if (!now) return [];
  return KINDS.flatMap((kind) => {
    const [off, on] = change(!(before?.[kind] ?? true), !now[kind]);
    const { sensed } = DEVICES[kind];
    if (off) return `${name} cannot be ${sensed} now.`;
    return on ? `${name} can be ${sensed} again.` : [];
  });
}

/** A new state. @param {Snapshot} snapshot */
function announcement({ state, partner, search_again_ms }) {
  const again_s = Math.ceil((search_again_ms ?? 0) / 1000);
  const when = (search_again_ms ?? 0) > LONG_WAIT_MS ? `begins in ${again_s} seconds` : "begins";
  switch (state) {
    case "idle":
      return "You are back at the entrance.";
    case "searching":
      return "Looking for somebody to study with.";
    case "connecting":
      return `${partner?.name ?? "Somebody"} was found. Setting up the call.`;
    case "connected":
      return "You are face to face.";
    case "ended":
      return search_again_ms === null
        ? "The session is over."
        : `The session is over. The next search ${when}.`;
  }
}
