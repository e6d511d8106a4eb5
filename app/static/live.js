// Keeps the dashboard's figures live. The page is complete without this.

// Figures arrive every two seconds. Without any for this long (in ms), those shown are old.
const PATIENCE = 10_000;

const figures = document.querySelector("[data-live]");
const status = document.getElementById("live-status");
let source = null;
let watch = null;
let last = null;

function show(event) {
  const numbers = JSON.parse(event.data);
  for (const name of ["signedIn", "anonymous"]) {
    const share = figures.querySelector(`[data-share="${name}"]`);
    // Many sessions are not counted at once.
    if (!share || numbers[name] === null) continue;
    const percent = Math.floor((numbers.signedIn * 100) / Math.max(numbers.active, 1));
    const shown = name === "signedIn" ? percent : numbers.active && 100 - percent;
    share.textContent = `${shown}% of active`;
  }
  if (numbers.signedIn !== null) {
    for (const old of figures.querySelectorAll("#not-counted, .unknown")) old.remove();
  }
  for (const [name, value] of Object.entries(numbers)) {
    const place = figures.querySelector(`[data-figure="${name}"]`);
    if (place && value !== null) place.textContent = value.toLocaleString("en");
  }
  last = new Date();
  status.textContent = "Live";
  status.classList.remove("paused");
  status.hidden = false;
  clearTimeout(watch);
  watch = setTimeout(pause, PATIENCE);
}

// Shows the time of the last figures, if any have arrived.
function pause() {
  clearTimeout(watch);
  if (!last) return;
  const time = last.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  status.textContent = `Paused, ${time}`;
  status.classList.add("paused");
}

function start() {
  if (source || document.hidden) return;
  source = new EventSource(figures.dataset.live);
  source.onmessage = show;
  source.onerror = () => {
    // While it is connecting, the browser retries by itself.
    if (source && source.readyState === EventSource.CLOSED) {
      stop();
      setTimeout(start, 30000);
    }
  };
}

function stop() {
  if (source) source.close();
  source = null;
  pause();
}

// A hidden page keeps no connection.
document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
addEventListener("pagehide", stop);
addEventListener("pageshow", start);
start();
