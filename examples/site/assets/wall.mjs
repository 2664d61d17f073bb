// The wall: waits until it is served by Planktos, loads every plate at once and shows where each came from.
// In the demo, the page around it is told how the visit goes, and may ask it to start again or to forget everything.

const sources = ['origin', 'peers', 'store'];
const totals = { origin: 0, peers: 0, store: 0 };
const tiles = new Map();
const planktos = globalThis.planktos;
const visit = { mode: 'http', connections: 0, loaded: 0, total: 0, bytes: 0, ms: 0 };
let begun = performance.now();

if (parent !== window) document.body.classList.add('framed');
addEventListener('message', ({ source, data }) => {
  if (source !== parent) return;
  if (data?.type === 'again') location.reload();
  if (data?.type === 'clear') forget().finally(() => location.reload());
});

planktos?.addEventListener('progress', ({ detail }) => {
  const tile = tiles.get(detail.path);
  if (!tile) return;
  totals[detail.source] += detail.bytes;
  tile.had[detail.source] += detail.bytes;
  let left = 0;
  for (const source of sources) {
    const share = Math.min(100 - left, (100 * tile.had[source]) / detail.size);
    Object.assign(tile.marks[source].style, { left: `${left}%`, width: `${share}%` });
    left += share;
  }
  show();
});
planktos?.addEventListener('peer', show);

visit.mode = planktos ? await planktos.ready : 'http';
begun = performance.now();
const specimens = await (await fetch('assets/specimens.json')).json();
visit.total = specimens.length;
document.querySelector('#tiles').append(...specimens.map(tile));
show();

/** A plate's place on the wall; its picture is asked for at once. */
function tile({ file, name }) {
  const item = document.createElement('li');
  const image = new Image();
  const marks = Object.fromEntries(sources.map((source) => [source, document.createElement('i')]));
  for (const source of sources) marks[source].className = source;
  item.append(image, ...Object.values(marks));
  item.title = name;
  const path = `pictures/${file}`;
  tiles.set(path, { marks, had: { origin: 0, peers: 0, store: 0 } });
  image.alt = name;
  image.onload = () => {
    item.className = 'loaded';
    visit.loaded++;
    visit.ms = performance.now() - begun;
    show();
  };
  image.src = path;
  return item;
}

function show() {
  visit.connections = planktos?.connections ?? 0;
  visit.bytes = totals.origin + totals.peers + totals.store;
  document.querySelector('#bar').replaceChildren(
    ...sources.map((source) => {
      const part = document.createElement('i');
      part.className = source;
      part.style.width = `${(100 * totals[source]) / (visit.bytes || 1)}%`;
      return part;
    }),
  );
  const others = visit.connections === 1 ? '1 other visitor' : `${visit.connections} other visitors`;
  document.querySelector('#state').textContent =
    visit.loaded === visit.total && visit.total ? `${(visit.ms / 1000).toFixed(1)} s · ${others}` : `loading… · ${others}`;
  if (parent !== window) parent.postMessage({ type: 'visit', ...visit, ...totals }, '*');
}

/** Removes everything this visitor keeps: the store, the worker and its records. */
async function forget() {
  const root = await navigator.storage.getDirectory();
  for await (const name of root.keys()) await root.removeEntry(name, { recursive: true }).catch(() => {});
  for (const { name } of (await indexedDB.databases?.()) ?? []) indexedDB.deleteDatabase(name);
  for (const name of await caches.keys()) await caches.delete(name);
  for (const registration of await navigator.serviceWorker.getRegistrations()) await registration.unregister();
}
