/**
 * Bad weather: peers, trackers and web seeds that fail in every way they can, and a worker that is killed. The page
 * loads all the same, and every byte of it is right. How long it takes is the benchmarks' business.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { launchAll, visitor } from './harness/browsers.ts';
import { noise, sha256 } from './harness/bytes.ts';
import { isByEngine, origin } from './harness/origin.ts';
import type { Behaviour } from './harness/origin.ts';
import { brokenPictures, connected, explained, fetchIn, open, stats } from './harness/page.ts';
import { script } from './harness/peer.ts';
import type { Temper } from './harness/peer.ts';
import { pack, serve, tracker } from './harness/planktos.ts';
import { galleryBytes, galleryPictures, makeSite, sound } from './harness/site.ts';
import { staticHost } from './harness/static.ts';
import { keeps } from './harness/store.ts';
import { manifest, swarmOf } from './harness/swarm.ts';
import { badTracker, faults } from './harness/trackers.ts';
import { until } from './harness/wait.ts';

const browsers = launchAll({ after });
const [, chromium] = browsers.find(([kind]) => kind === 'chrome')!;

const peers: Array<[Temper, string, { asked: boolean; dropped: boolean }]> = [
  ['stalls', 'stalls in the middle of a piece', { asked: true, dropped: false }],
  ['vanishes', 'vanishes in the middle of a piece', { asked: true, dropped: true }],
  ['lacks', 'has nothing of what it says it has', { asked: true, dropped: false }],
  ['floods', 'floods requests', { asked: false, dropped: false }],
  ['oversize', 'announces a message that nobody could hold', { asked: false, dropped: true }],
  ['garbage', 'sends garbage', { asked: false, dropped: true }],
];

/** Long enough for an engine to have it from the web seed for others, too. */
const seedBytes = 1_200_000;
const notThat = { status: 206, body: noise('no such part', 1000) };
const seeds: Array<[string, Behaviour]> = [
  ['slow', { slowMs: 1_500 }],
  ['deaf', { ignoreRange: true }],
  ['gone', { status: 404, body: 'gone' }],
  ['failing', { status: 500, body: 'failing' }],
  ['refusing', { refuse: true }],
  // To the engine alone: a path that hangs for all hangs by plain HTTP too.
  ['silent', { stall: true }],
  ['another', { alter: () => noise('another version', seedBytes) }],
  ['longer', { alter: (body) => Buffer.concat([body, body]) }],
  ['shorter', { alter: (body) => body.subarray(0, body.length - 1) }],
  ['wrong', { ...notThat, headers: { 'content-range': `bytes 0-999/${seedBytes}` } }],
  ['empty', { status: 206, body: '' }],
];

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    // One code in both browsers: in Firefox one peer is enough.
    for (const [temper, what, expected] of peers.filter(([each]) => kind === 'chrome' || each === 'stalls')) {
      test(`a peer that ${what}`, { timeout: 180_000 }, async (t) => {
        const site = await makeSite(t);
        const host = await origin(t, (await serve(t, site.dir, '--prefer', 'offload')).url);
        const [bad, good] = [await visitor(t, chromium), await visitor(t, browser)];
        await bad.page.goto(`${await staticHost(t, site.dir)}css/empty.css`);
        const swarm = await swarmOf(host.url);
        assert.ok(swarm.pieceLength > 16_384, 'a piece of one block has no middle');
        const peer = await script(bad.page, swarm, temper);
        await explained([good, bad], async () => {
          await open(good.page, host.url);
          await until('the two to meet', async () => (await peer.met()) > 0, { timeoutMs: 45_000 });
          await open(good.page, `${host.url}gallery.html`);
          assert.deepEqual(await brokenPictures(good.page), []);
          // The page may have had its pictures before it met the peer: the sound it is asked for afterwards.
          if (expected.asked && !(await peer.asked())) await connected(good.page);
          for (const path of [...galleryPictures, sound]) {
            assert.equal((await fetchIn(good.page, path)).sha256, site.hash(path), path);
          }
          if (expected.asked) assert.ok((await peer.asked()) > 0, 'it was never asked: this test shows nothing');
          if (expected.dropped) await until('the peer to be dropped', async () => (await peer.open()) === 0);
          // Who is told no a thousand times does not ask a thousand times more.
          const whole = [...site.files.values()].reduce((total, { length }) => total + length, 0);
          assert.ok((await peer.asked()) < 4 * whole, `asked for ${await peer.asked()} bytes of a site of ${whole}`);
          assert.deepEqual(good.errors, []);
        });
      });
    }

    test('trackers of no use: the page is right, and nobody is met', { timeout: 180_000 }, async (t) => {
      const site = await makeSite(t, { large: false });
      // A browser uses four trackers at most.
      const kinds = faults.filter((fault) => fault !== 'down');
      const bad = await Promise.all(kinds.map((fault) => badTracker(t, fault)));
      await pack(site.dir, '--inject', ...bad.flatMap(({ url }) => ['--tracker', url]));
      const host = await origin(t, await staticHost(t, site.dir));
      const who = await visitor(t, browser);
      await explained([who], async () => {
        assert.equal(await open(who.page, host.url), 'peers');
        await until('every tracker to be tried', () => bad.every((each) => each.connections() > 0));
        await open(who.page, `${host.url}gallery.html`);
        assert.deepEqual(await brokenPictures(who.page), []);
        for (const path of galleryPictures) assert.equal((await fetchIn(who.page, path)).sha256, site.hash(path), path);
        assert.equal(await who.page.evaluate(() => window.planktos.connections), 0);
      });
    });

    test('a tracker that works, among those that do not, introduces visitors', { timeout: 180_000 }, async (t) => {
      const site = await makeSite(t, { large: false });
      const kinds = ['down', 'hangs', 'fails'] as const;
      const bad = await Promise.all(kinds.map((fault) => badTracker(t, fault)));
      const all = [...bad.map(({ url }) => url), (await tracker(t)).url];
      const options = ['--inject', '--prefer', 'offload', '--prefetch', '0'];
      await pack(site.dir, ...options, ...all.flatMap((url) => ['--tracker', url]));
      const host = await origin(t, await staticHost(t, site.dir));
      const needed = galleryBytes(site);
      const [giver, taker] = [await visitor(t, browser), await visitor(t, browser)];
      await explained([giver, taker], async () => {
        await open(giver.page, host.url);
        await open(giver.page, `${host.url}gallery.html`);
        assert.deepEqual(await brokenPictures(giver.page), []);
        await keeps(giver.page, host.url, galleryPictures);
        await open(taker.page, host.url);
        await Promise.all([connected(giver.page), connected(taker.page)]);
        for (const path of galleryPictures)
          assert.equal((await fetchIn(taker.page, path)).sha256, site.hash(path), path);
        const { page } = await stats(taker.page);
        assert.ok(page.peers >= needed * 0.9, `peers gave ${page.peers} of ${needed} bytes: ${JSON.stringify(page)}`);
      });
    });

    test('a web seed that fails as web seeds can: whole files and ranges', { timeout: 240_000 }, async (t) => {
      const site = await makeSite(t, { pictureSide: 48, large: false });
      // Files of their own, since a web seed that fails for a content is not asked for it again.
      const fileOf = (name: string, asked: 'part' | 'whole'): string => `media/${name}-${asked}.bin`;
      for (const [name] of seeds) {
        for (const asked of ['part', 'whole'] as const) {
          await site.write(fileOf(name, asked), noise(`${name} ${asked}`, seedBytes));
        }
      }
      const host = await origin(t, (await serve(t, site.dir, '--prefer', 'offload')).url);
      const [other, who] = [await visitor(t, chromium), await visitor(t, browser)];
      const copies = new Map((await manifest(host.url)).files.map(([path, hash]) => [path, `planktos/${hash}`]));
      await explained([other, who], async () => {
        await open(other.page, host.url);
        await open(who.page, host.url);
        // Somebody to share with, who has none of it: the engine has it from the web seed.
        await connected(who.page);
        // The engine asks for a part at the copy, and for the whole at the path.
        const bad = new Map<string, Behaviour>();
        for (const [name, behaviour] of seeds) {
          bad.set(copies.get(fileOf(name, 'part'))!, behaviour);
          bad.set(fileOf(name, 'whole'), behaviour);
        }
        host.rules = [
          (path, request) => {
            const behaviour = bad.get(path);
            return behaviour && 'stall' in behaviour && !isByEngine(request) ? undefined : behaviour;
          },
        ];
        const part = async (name: string): Promise<void> => {
          const path = fileOf(name, 'part');
          const got = await fetchIn(who.page, path, { headers: { range: 'bytes=300000-399999' } });
          const want = [206, 100_000, sha256(site.files.get(path)!.subarray(300_000, 400_000))];
          assert.deepEqual([got.status, got.length, got.sha256], want, `${name}, a part`);
          assert.equal((await fetchIn(who.page, path)).sha256, site.hash(path), `${name}, the rest`);
        };
        const whole = async (name: string): Promise<void> => {
          const path = fileOf(name, 'whole');
          const got = await fetchIn(who.page, path);
          assert.deepEqual([got.status, got.sha256], [200, site.hash(path)], `${name}, the whole`);
        };
        // What waits for too long for its turn at the web seed is not the engine's.
        for (const [name] of seeds) await Promise.all([part(name), whole(name)]);
        const asked = new Set(host.requests.filter(isByEngine).map(({ path }) => path));
        assert.deepEqual([...bad.keys()].filter((path) => !asked.has(path)), [], 'all that misbehaves was asked for');
      });
    });

    test('a path that fails while the origin is up: its copy, while that does not', { timeout: 180_000 }, async (t) => {
      const site = await makeSite(t, { pictureSide: 96, large: false });
      const host = await origin(t, (await serve(t, site.dir)).url);
      const who = await visitor(t, browser);
      const [saved, lost] = [galleryPictures[0]!, galleryPictures[1]!];
      const copies = new Map((await manifest(host.url)).files.map(([path, hash]) => [path, `planktos/${hash}`]));
      const failing = [saved, lost, copies.get(lost)];
      await explained([who], async () => {
        await open(who.page, host.url);
        host.rules = [(path) => (failing.includes(path) ? { status: 500, body: 'failing' } : undefined)];
        await open(who.page, `${host.url}gallery.html`);
        assert.deepEqual(await brokenPictures(who.page), [lost]);
        assert.equal((await fetchIn(who.page, saved)).sha256, site.hash(saved));
        const failed = await fetchIn(who.page, lost);
        assert.deepEqual([failed.status, failed.text], [500, 'failing']);
        assert.equal(await who.page.evaluate(() => window.planktos.originState), 'up');
      });
    });

    test(
      "paths that have another version already: the page's own, or what plain HTTP gives",
      { timeout: 180_000 },
      async (t) => {
        const site = await makeSite(t, { pictureSide: 96, large: false });
        const host = await origin(t, (await serve(t, site.dir)).url);
        const who = await visitor(t, browser);
        const [kept, lost] = [galleryPictures[0]!, galleryPictures[1]!];
        const copies = new Map((await manifest(host.url)).files.map(([path, hash]) => [path, `planktos/${hash}`]));
        const next = noise('the next version', 5000);
        await explained([who], async () => {
          await open(who.page, host.url);
          host.rules = [
            (path) => (path === kept || path === lost ? { alter: () => next } : undefined),
            (path) => (path === copies.get(lost) ? { status: 404 } : undefined),
          ];
          assert.equal((await fetchIn(who.page, kept)).sha256, site.hash(kept), 'the copy has what the path has lost');
          assert.equal((await fetchIn(who.page, lost)).sha256, sha256(next), 'only the path has anything');
          host.rules = [];
          assert.equal(
            (await fetchIn(who.page, lost)).sha256,
            site.hash(lost),
            'what was not the content was not kept',
          );
        });
      },
    );
  });
}
