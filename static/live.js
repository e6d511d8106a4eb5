// The dashboard's figures, live. The page is complete without this.

const figures = document.querySelector("[data-live]");
const status = document.getElementById("live-status");
let source = null;

function show(event) {
  for (const [name, value] of Object.entries(JSON.parse(event.data))) {
    const place = figures.querySelector(`[data-figure="${name}"]`);
    if (place) place.textContent = value.toLocaleString("en");
  }
  status.textContent = "live";
  status.hidden = false;
}

function start() {
  if (source || document.hidden) return;
  source = new EventSource(figures.dataset.live);
  source.onmessage = show;
  source.onerror = () => {
    // While it is connecting, the browser tries again by itself.
    if (source && source.readyState === EventSource.CLOSED) {
      stop();
      setTimeout(start, 30000);
    }
  };
}

function stop() {
  if (source) source.close();
  source = null;
  status.hidden = true;
}

// A page that nobody sees keeps no connection, and no session alive.
document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
addEventListener("pagehide", stop);
addEventListener("pageshow", start);
start();
