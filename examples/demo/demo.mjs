// The demo's outer page: one frame a visitor, and the two meters. `planktos demo` counts what its servers sent and
// tells it over /api; the visitors tell how their visits go by postMessage.

const visitors = new Map(); // id → { url, element, visit, sum }
let sent = 0; // bytes that the servers wrote since this page began, all visitors
let gone = 0; // bytes had by visitors that have left, or by visits before a reload
const $ = (selector, within = document) => within.querySelector(selector);

const state = await (await fetch('api/state')).json();
const before = state.originBytes; // sent to visitors of an earlier load of this page
for (const [i, visitor] of state.visitors.entries()) setTimeout(() => arrive(visitor), 700 * i);
update(state);

const events = new EventSource('api/events');
events.onmessage = ({ data }) => update(JSON.parse(data));
events.onerror = () => trouble('The demo’s server has gone. Start it again with: planktos demo');
events.onopen = () => trouble('');

$('#add').onclick = async () => {
  const response = await fetch('api/visitors', { method: 'POST' });
  if (response.ok) arrive(await response.json());
  else trouble(await response.text());
};
$('#again').onclick = () => tell('again');
$('#clear').onclick = () => tell('clear');
$('#theme').onclick = () => {
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const now = document.documentElement.dataset.theme ?? (dark ? 'dark' : 'light');
  document.documentElement.dataset.theme = now === 'dark' ? 'light' : 'dark';
};

addEventListener('message', ({ source, data }) => {
  if (data?.type !== 'visit') return;
  for (const visitor of visitors.values()) {
    if ($('iframe', visitor.element).contentWindow !== source) continue;
    // A reload starts from zero: what was had before stays in the sum.
    if (data.bytes < visitor.visit.bytes) gone += had(visitor.visit);
    visitor.visit = data;
    $('.peers-count', visitor.element).textContent = data.connections || '';
  }
  meters();
});

/** What plain HTTP would have had to send for this visit: all that did not come from the visitor's own store. */
function had(visit) {
  return visit.origin + visit.peers;
}

function arrive({ id, url }) {
  if (visitors.has(id)) return;
  const element = $('#visitor').content.cloneNode(true).firstElementChild;
  const port = document.createElement('small');
  port.textContent = new URL(url).host;
  $('h3', element).append(`Visitor ${id}`, port);
  $('iframe', element).title = `Visitor ${id}`;
  $('iframe', element).src = new URL('wall.html', url);
  $('.clear', element).onclick = () => tell('clear', id);
  $('.remove', element).onclick = () => leave(id);
  visitors.set(id, { url, element, visit: { origin: 0, peers: 0, store: 0, bytes: 0 } });
  $('#visitors').append(element);
}

async function leave(id) {
  const visitor = visitors.get(id);
  gone += had(visitor.visit);
  visitor.element.remove();
  visitors.delete(id);
  await fetch(`api/visitors/${id}`, { method: 'DELETE' });
}

function tell(type, only) {
  for (const [id, { element, url }] of visitors) {
    if (only === undefined || only === id) $('iframe', element).contentWindow.postMessage({ type }, url);
  }
}

function update(state) {
  sent = state.originBytes - before;
  meters();
}

function meters() {
  let plain = gone;
  for (const { visit } of visitors.values()) plain += had(visit);
  const most = Math.max(plain, sent, 1);
  $('#plain').textContent = megabytes(plain);
  $('#sent').textContent = megabytes(sent);
  $('.plain .track i').style.width = `${(100 * plain) / most}%`;
  $('.sent .track i').style.width = `${(100 * sent) / most}%`;
  $('#saved').textContent = plain > sent ? `${Math.round(100 * (1 - sent / plain))} %` : '–';
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 1)} MB`;
}

function trouble(text) {
  $('#trouble').textContent = text;
  $('#trouble').hidden = !text;
}
