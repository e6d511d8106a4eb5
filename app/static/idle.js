// Warns a signed-in visitor before the session ends for lack of activity. Pages are complete without
// this. To use it elsewhere, serve a route that returns `Session::status` to a `PassiveSession`, so
// that asking is no activity, and one that calls `Session::touch`.

// How long before the end the warning is shown, in seconds: at most this, and a quarter of the time
// that was left when the page was opened.
const LONGEST_WARNING = 120;

// How often other tabs' activity is looked for while the warning is shown, in ms.
const PERIOD = 1000;

// The most that a timer is set to. Browsers' timers overflow after 24 days.
const LONGEST_WAIT = 3_600_000;

const main = document.querySelector("main");
let warning = LONGEST_WARNING;
let timer = null;
let banner = null;

async function secondsLeft() {
  const answer = await fetch("/api/session/status", { cache: "no-store" });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const { idleSeconds, absoluteSeconds } = await answer.json();
  return idleSeconds === null ? null : { left: Math.min(idleSeconds, absoluteSeconds), absoluteSeconds };
}

function words(seconds) {
  const [number, unit] = seconds < 60 ? [seconds, "second"] : [Math.round(seconds / 60), "minute"];
  return `in ${number} ${unit}${number === 1 ? "" : "s"}`;
}

// The text is announced once. The time, which changes every second, is only shown.
function show(text, time, action) {
  if (!banner) {
    banner = document.createElement("p");
    banner.id = "idle-warning";
    banner.className = "reason";
    const [label, clock] = [document.createElement("span"), document.createElement("span")];
    label.setAttribute("role", "alert");
    clock.setAttribute("aria-hidden", "true");
    banner.append(label, " ", clock, " ");
    if (action) banner.append(action());
    main.prepend(banner);
    label.textContent = text;
  }
  banner.children[1].textContent = time;
}

function hide() {
  banner?.remove();
  banner = null;
}

function button() {
  const stay = document.createElement("button");
  stay.className = "link";
  stay.textContent = "Stay signed in";
  // Any request that loads the session is activity.
  stay.addEventListener("click", () => fetch("/api/session", { cache: "no-store" }).then(look));
  return stay;
}

function link() {
  const link = document.createElement("a");
  link.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
  link.textContent = "Sign in again";
  return link;
}

async function look() {
  clearTimeout(timer);
  let wait = LONGEST_WAIT;
  try {
    const status = await secondsLeft();
    if (status === null) {
      hide();
      return show("You have been signed out.", "", link);
    }
    if (status.left > warning) {
      hide();
      wait = (status.left - warning) * 1000;
    } else {
      // Activity does not move the absolute end.
      const isAbsolute = status.left === status.absoluteSeconds;
      show("You will be signed out", words(status.left), isAbsolute ? null : button);
      wait = PERIOD;
    }
  } catch {
    // An outage is not a logout.
    wait = 10 * PERIOD;
  }
  timer = setTimeout(look, Math.min(wait, LONGEST_WAIT));
}

async function start() {
  const status = await secondsLeft().catch(() => null);
  if (status) warning = Math.min(LONGEST_WARNING, status.left / 4);
  look();
}

// Timers rest while a tab is hidden or the machine sleeps.
document.addEventListener("visibilitychange", () => document.hidden || look());
start();
