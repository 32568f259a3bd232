// Counts each [data-seconds] down from what the server said, so that the reader's own clock does not matter.

const seen = new WeakMap();

function written(seconds) {
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function count() {
  for (const timer of document.querySelectorAll("[data-seconds]")) {
    if (!seen.has(timer)) seen.set(timer, performance.now());
    const left = Math.ceil(Number(timer.dataset.seconds) - (performance.now() - seen.get(timer)) / 1000);
    timer.textContent = left > 0 ? written(left) : timer.dataset.due;
  }
}

count();
setInterval(count, 1000);
document.addEventListener("htmx:afterSettle", count);
