/** A page's life with the worker: registration, the greeting, and `window.planktos` (planktos.d.ts). */
import { protocol } from '../shared/messages.ts';
import type {
  CallReply,
  Calls,
  Consent,
  EngineModule,
  Method,
  Mode,
  PageMessage,
  SnapshotInfo,
  Stats,
  Totals,
  Welcome,
  WorkerMessage,
} from '../shared/messages.ts';
import { ask, post } from './link.ts';
import type { Planktos, PlanktosConsent, PlanktosFile } from './planktos.d.ts';
import { canShare, Sharing } from './sharing.ts';
import { loadedUrls, type Page, type Place } from './site.ts';

/** The page's own work goes first, but it does not wait for an image that never comes. */
const registerAfterMs = 5_000;
/** A worker that is active and has not taken this page by then will not: the visitor forced a reload. */
const claimMs = 2_000;
const readyMs = 30_000;
/** The worker may have to ask the origin for the manifest before it can answer. */
const helloTimeoutMs = 15_000;
const callTimeoutMs = 30_000;
/** Firefox ends a worker's response stream after 30 s without other events. */
const pingMs = 10_000;

const none: Totals = { origin: 0, peers: 0, store: 0, uploaded: 0 };

export class PagePlanktos extends EventTarget implements Planktos {
  readonly ready: Promise<Mode>;
  connections = 0;
  snapshot = '';
  readonly consent: PlanktosConsent;
  #page: Page;
  #place: Place | undefined;
  #settle: (mode: Mode) => void = () => {};
  #container: ServiceWorkerContainer | undefined;
  #sharing: Sharing | undefined;
  #consent: Consent = 'unset';
  #uncontrolled = false;
  #greetings = 0;
  /** what the last greeting said of sharing */
  #saidShares = false;
  #pings: ReturnType<typeof setInterval> | undefined;

  /** Without a place there is nothing to install: `ready` is `http`. */
  constructor(page: Page, place: Place | undefined, load: (url: string) => Promise<EngineModule>) {
    super();
    this.#page = page;
    this.#place = place;
    this.ready = new Promise((resolve) => (this.#settle = resolve));
    const answer = async (consent: Consent): Promise<void> => {
      this.#answered(await this.#call('consent', { consent }, this.#consent));
    };
    const self = this;
    this.consent = {
      get state() {
        return self.#consent;
      },
      grant: () => answer('granted'),
      deny: () => answer('denied'),
      revoke: () => answer('unset'),
    };
    try {
      this.#start(load);
    } catch {
      this.#settle('http'); // a sandboxed frame may not even look at navigator.serviceWorker
    }
  }

  stats(): Promise<Stats> {
    return this.#call('stats', {}, { ...none, page: { ...none } });
  }

  async pause(): Promise<void> {
    await this.#call('pause', { paused: true }, true);
  }

  async resume(): Promise<void> {
    await this.#call('pause', { paused: false }, false);
  }

  async getFile(path: string): Promise<PlanktosFile> {
    const file = await this.#call('file', { path }, undefined);
    if (!file) throw new DOMException(`planktos: no file ${path}`, 'NotFoundError');
    const get = async (): Promise<Response> => {
      const response = await this.#page.fetch(file.url);
      if (!response.ok) throw new DOMException(`planktos: ${path}: status ${response.status}`, 'NetworkError');
      return response;
    };
    return {
      length: file.length,
      getStream: async () => (await get()).body ?? new Blob([]).stream(),
      getBlob: async () => (await get()).blob(),
    };
  }

  async fetch(request: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    const url = typeof request === 'string' && this.#place ? new URL(request, this.#place.scope) : request;
    return this.#page.fetch(url, init);
  }

  update(): Promise<string> {
    return this.#call('update', {}, '');
  }

  getAllSnapshots(): Promise<SnapshotInfo[]> {
    return this.#call('snapshots', {}, []);
  }

  removeSnapshot(id: string): Promise<boolean> {
    return this.#call('removeSnapshot', { id }, false);
  }

  /** What the worker answers; `otherwise` on a page as over plain HTTP. */
  async #call<M extends Method>(
    method: M,
    args: Calls[M]['args'],
    otherwise: Calls[M]['result'],
  ): Promise<Calls[M]['result']> {
    if ((await this.ready) === 'http') return otherwise;
    const message = { type: 'call', method, args } as PageMessage;
    const reply = (await ask(this.#container!, message, callTimeoutMs)) as CallReply | undefined;
    if (!reply?.ok) throw new Error(`planktos: ${reply?.error ?? 'the worker does not answer'}`);
    return reply.value as Calls[M]['result'];
  }

  #start(load: (url: string) => Promise<EngineModule>): void {
    const page = this.#page;
    const place = this.#place;
    const container = page.isSecureContext ? page.navigator.serviceWorker : undefined;
    if (!place || !container) return this.#settle('http');
    this.#container = container;
    this.#sharing = new Sharing(page, place, (message, transfer) => post(container, message, transfer), load);
    container.addEventListener('message', ({ data }: MessageEvent<WorkerMessage | undefined>) => this.#receive(data));
    container.addEventListener('controllerchange', () => void this.#greet());
    container.startMessages();
    page.addEventListener('pagehide', () => {
      clearInterval(this.#pings);
      this.#sharing?.stop();
    });
    page.addEventListener('pageshow', ({ persisted }) => {
      if (persisted) void this.#greet();
    });
    this.#uncontrolled = !container.controller;
    if (!this.#uncontrolled) void this.#greet();
    void this.#afterLoad(() => void this.#register(container, place));
  }

  /** Does the work once the page has loaded, or after a while. */
  async #afterLoad(work: () => void): Promise<void> {
    if (this.#page.document.readyState !== 'complete') {
      await new Promise((resolve) => {
        setTimeout(resolve, registerAfterMs);
        this.#page.addEventListener('load', resolve);
      });
    }
    work();
  }

  async #register(container: ServiceWorkerContainer, { scope, worker, ownWorker }: Place): Promise<void> {
    try {
      setTimeout(() => this.#settle('http'), readyMs);
      const existing = await container.getRegistration(scope);
      const running = existing?.active ?? existing?.waiting ?? existing?.installing;
      const script = existing?.scope === scope && running?.scriptURL;
      // A site's own worker is not replaced; it can import ours.
      if (script && script !== worker && !ownWorker) return this.#uncontrolled ? this.#settle('http') : undefined;
      const registration = await container.register(worker, { scope, updateViaCache: 'none' });
      if (!container.controller && registration.active?.state === 'activated') {
        setTimeout(() => container.controller || this.#settle('http'), claimMs);
      }
      // An installation that fails says so only by the worker's end.
      registration.installing?.addEventListener('statechange', ({ target }) => {
        if ((target as ServiceWorker).state === 'redundant' && !container.controller) this.#settle('http');
      });
    } catch {
      if (!container.controller) this.#settle('http');
    }
  }

  /** Says hello to the worker in control. Never rejects. */
  async #greet(): Promise<void> {
    const greeting = ++this.#greetings;
    this.#saidShares = this.#shares;
    const hello: PageMessage = { type: 'hello', protocol, canShare: this.#saidShares };
    const welcome = (await ask(this.#container!, hello, helloTimeoutMs)) as Welcome | undefined;
    if (greeting !== this.#greetings) return;
    // No worker answers, or one that does not speak our protocol.
    if (!welcome?.mode) {
      this.#sharing!.allow(false);
      return this.#settle('http');
    }
    this.#welcomed(welcome);
    if (this.#uncontrolled && welcome.mode !== 'http') {
      this.#uncontrolled = false;
      void this.#afterLoad(() => this.#post({ type: 'loaded', urls: loadedUrls(this.#page, this.#place!.scope) }));
    }
  }

  #welcomed({ mode, snapshot, consent, engine }: Welcome): void {
    this.snapshot = snapshot;
    this.#answered(consent);
    this.#sharing!.allow(engine && this.#shares);
    // Global Privacy Control counts until the worker says that consent was given.
    if (this.#shares !== this.#saidShares) void this.#greet();
    else if (snapshot || mode === 'http') this.#settle(mode);
  }

  get #shares(): boolean {
    return canShare(this.#page, this.#consent === 'granted');
  }

  #answered(consent: Consent): void {
    if (consent === this.#consent) return;
    this.#consent = consent;
    this.#emit({ type: 'consent', state: consent });
  }

  #receive(message: WorkerMessage | undefined): void {
    switch (message?.type) {
      case 'welcome':
        return this.#welcomed(message);
      case 'engine?':
        return this.#sharing!.wanted();
      case 'stream':
        clearInterval(this.#pings);
        if (message.active) this.#pings = setInterval(() => this.#post({ type: 'ping' }), pingMs);
        return;
      case 'status':
        this.connections = message.connections;
        return this.#emit(message);
      case 'peer':
      case 'progress':
      case 'update':
        return this.#emit(message);
      case undefined:
        return;
      default:
        message satisfies never; // another script's message
    }
  }

  #post(message: PageMessage): void {
    post(this.#container!, message);
  }

  #emit({ type, ...detail }: { type: string; [field: string]: unknown }): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
