/**
 * Who lies is not believed: a peer that answers with bytes of its own, a host whose hashed copies are wrong, another
 * host that claims to carry the site. No wrong byte reaches the page, and the page loads. And what protects a page over
 * plain HTTP protects it when it comes from the store.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { launchAll, visitor } from './harness/browsers.ts';
import { sha256 } from './harness/bytes.ts';
import { isContent, isHashed, origin } from './harness/origin.ts';
import type { Rule } from './harness/origin.ts';
import { brokenPictures, connected, explained, fetchIn, open, stats } from './harness/page.ts';
import { script } from './harness/peer.ts';
import { pack, serve } from './harness/planktos.ts';
import { frontPictures, galleryPictures, makeSite, sound } from './harness/site.ts';
import { staticHost } from './harness/static.ts';
import { keeps } from './harness/store.ts';
import { manifest, swarmOf } from './harness/swarm.ts';
import { until } from './harness/wait.ts';

const browsers = launchAll({ after });
const scripts = ['classic', 'deferred', 'module', 'imported'].map((name) => `js/${name}.js`);
const flip = (body: Buffer): Buffer => Buffer.from(body.map((byte) => byte ^ 0xff));

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    test('a lying peer is found out, dropped, and does no harm', { timeout: 240_000 }, async (t) => {
      const site = await makeSite(t);
      const host = await origin(t, (await serve(t, site.dir, '--prefer', 'offload')).url);
      const bad = await visitor(t, browser);
      const good = await visitor(t, browser);
      await bad.page.goto(`${await staticHost(t, site.dir)}css/empty.css`);
      const liar = await script(bad.page, await swarmOf(host.url), 'lies');
      await explained([good, bad], async () => {
        await open(good.page, host.url);
        await connected(good.page);
        for (const path of galleryPictures)
          assert.equal((await fetchIn(good.page, path)).sha256, site.hash(path), path);
        assert.ok((await liar.told()) > 0, 'the liar was never asked: this test shows nothing');
        await until('the liar to be dropped', async () => (await liar.open()) === 0, { timeoutMs: 45_000 });
        await open(good.page, `${host.url}gallery.html`);
        assert.deepEqual(await brokenPictures(good.page), []);
        assert.equal((await stats(good.page)).peers, 0);
        assert.deepEqual(good.errors, []);
      });
    });

    test('a host whose hashed copies are wrong', { timeout: 240_000 }, async (t) => {
      const site = await makeSite(t);
      const host = await origin(t, (await serve(t, site.dir, '--prefer', 'offload')).url);
      const [other, who] = [await visitor(t, browser), await visitor(t, browser)];
      const copy = `planktos/${(await manifest(host.url)).files.find(([path]) => path === sound)![1]}`;
      host.rules = [(path) => (isHashed(path) ? { alter: flip } : undefined)];
      await explained([other, who], async () => {
        await open(other.page, host.url);
        await open(who.page, host.url);
        // With somebody to share it with, an engine has parts of what is large from the copy, as long as that is right.
        await connected(who.page);
        // From the path, where this machine stalls and the engine is late.
        for (let at = 1_000_000; at < 5_000_000 && !host.count((path) => path === copy); at += 500_000) {
          const range = await fetchIn(who.page, sound, { headers: { range: `bytes=${at}-${at + 99_999}` } });
          const want = sha256(site.files.get(sound)!.subarray(at, at + 100_000));
          assert.deepEqual([range.status, range.length, range.sha256], [206, 100_000, want]);
        }
        assert.ok(host.count((path) => path === copy) > 0, 'the copy was never asked for: this test shows nothing');
        assert.equal((await fetchIn(who.page, sound)).sha256, site.hash(sound));
        await open(who.page, `${host.url}gallery.html`);
        assert.deepEqual(await brokenPictures(who.page), []);
        for (const path of galleryPictures) assert.equal((await fetchIn(who.page, path)).sha256, site.hash(path), path);
      });
    });

    test(
      'a path that is gone, its hashed copy a lie: the page gets what plain HTTP gives',
      { timeout: 120_000 },
      async (t) => {
        const site = await makeSite(t, { large: false });
        const host = await origin(t, (await serve(t, site.dir)).url);
        const who = await visitor(t, browser);
        const gone = galleryPictures[0]!;
        host.rules = [
          (path) => (isHashed(path) ? { alter: flip } : undefined),
          (path) => (path === gone ? { status: 404, body: 'gone' } : undefined),
        ];
        await explained([who], async () => {
          await open(who.page, host.url);
          const got = await fetchIn(who.page, gone);
          assert.deepEqual([got.status, got.text], [404, 'gone']);
        });
      },
    );

    test(
      'a path whose bytes the host alters is given as the host sends it, and not shared',
      { timeout: 120_000 },
      async (t) => {
        const site = await makeSite(t, { large: false });
        const host = await origin(t, (await serve(t, site.dir)).url);
        const who = await visitor(t, browser);
        const altered = 'js/classic.js';
        const addition = '\nwindow.altered = true;\n';
        host.rules = [
          (path) => (path === altered ? { alter: (body) => Buffer.concat([body, Buffer.from(addition)]) } : undefined),
        ];
        await explained([who], async () => {
          await open(who.page, host.url);
          for (let visit = 0; visit < 3; visit++) {
            await open(who.page, `${host.url}second.html`);
            const got = await fetchIn(who.page, altered);
            const plain = got.text.endsWith(addition);
            assert.ok(
              plain || got.sha256 === site.hash(altered),
              'neither what the owner packed nor what the host sends',
            );
          }
          assert.deepEqual(who.errors, []);
        });
      },
    );

    for (const honest of [true, false]) {
      test(`another host carries the site ${honest ? 'honestly' : 'and lies'}`, { timeout: 120_000 }, async (t) => {
        const site = await makeSite(t, { large: false });
        const other = await origin(t, await staticHost(t, site.dir));
        await pack(site.dir, '--inject', '--webseed', other.url);
        const host = await origin(t, await staticHost(t, site.dir));
        const who = await visitor(t, browser);
        const cors: Rule = () => ({
          headers: { 'access-control-allow-origin': '*' },
          ...(honest ? {} : { alter: flip }),
        });
        other.rules = [cors];
        await explained([who], async () => {
          await open(who.page, host.url);
          host.rules = [(path) => (path.startsWith('img/gallery') || isHashed(path) ? { status: 503 } : undefined)];
          const path = galleryPictures[0]!;
          const got = await fetchIn(who.page, path).catch(() => undefined);
          if (honest) assert.equal(got?.sha256, site.hash(path));
          else assert.ok(got === undefined || got.status === 503, `status ${got?.status} with ${got?.length} bytes`);
        });
      });
    }

    test('a corrupt or hostile manifest is as none: plain HTTP', { timeout: 240_000 }, async (t) => {
      const site = await makeSite(t, { pictureSide: 32, large: false });
      const hostile: Record<string, string> = {
        'no JSON': '{"format": 1,',
        'another format': '{"format": 2}',
        'a null': 'null',
        'an array': '[]',
        'escaping paths': JSON.stringify({
          format: 1,
          snapshot: '0'.repeat(64),
          policy: { mode: 'auto', prefer: 'speed' },
          trackers: ['ws://127.0.0.1:9/'],
          ice: [],
          webSeeds: [],
          torrent: { infoHash: '0'.repeat(40), infoHashV2: '0'.repeat(64), pieceLength: 16384, pieces: 5 },
          copies: true,
          types: [],
          headers: [],
          files: ['../x', '/etc/passwd', '//host', '__proto__', 'a/../b', 'a\\b']
            .sort()
            .map((path) => [path, '0'.repeat(64), 1, 0]),
        }),
        'too long': `{"format":1,"x":"${'x'.repeat(5 << 20)}"}`,
      };
      for (const [name, document] of Object.entries(hostile)) {
        await t.test(name, async (t) => {
          const host = await origin(t, (await serve(t, site.dir)).url);
          const who = await visitor(t, browser);
          host.rules = [
            (path) =>
              path === 'planktos/manifest.json'
                ? { status: 200, body: document, headers: { 'content-type': 'application/json' } }
                : undefined,
          ];
          await explained([who], async () => {
            for (const path of ['', 'gallery.html', '']) {
              await open(who.page, host.url + path);
              assert.deepEqual(await brokenPictures(who.page), []);
            }
            assert.equal((await fetchIn(who.page, 'js/classic.js')).sha256, site.hash('js/classic.js'));
            assert.deepEqual(who.errors, []);
          });
        });
      }
    });

    test('CSP, X-Frame-Options and COOP/COEP hold on a page from the store', { timeout: 240_000 }, async (t) => {
      const site = await makeSite(t, { pictureSide: 48, large: false });
      const host = await origin(t, (await serve(t, site.dir)).url);
      const who = await visitor(t, browser);
      const protection = {
        'content-security-policy': "default-src 'self'; script-src 'self' 'unsafe-inline'; connect-src 'self' ws: wss:",
        'x-frame-options': 'DENY',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-embedder-policy': 'require-corp',
      };
      host.rules = [() => ({ headers: protection })];
      await explained([who], async () => {
        await open(who.page, host.url);
        await open(who.page, `${host.url}second.html`);
        await keeps(who.page, host.url, ['second.html', 'css/site.css', ...scripts, frontPictures[0]!]);
        for (const down of [false, true]) {
          if (down) host.rules = [(path) => (path.startsWith('planktos/tracker') ? undefined : { refuse: true })];
          await open(who.page, `${host.url}second.html`);
          assert.equal(await who.page.title(), 'Second');
          assert.equal(await who.page.evaluate(() => window.crossOriginIsolated), true, 'COOP and COEP');
          const blocked = await who.page.evaluate(
            () =>
              new Promise<string>((done) => {
                document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) =>
                  done(effectiveDirective),
                );
                const foreign = document.createElement('script');
                foreign.src = 'http://localhost:9/foreign.js';
                foreign.onload = () => done('loaded');
                document.head.append(foreign);
              }),
          );
          assert.match(blocked, /^script-src/);
          const framed = await who.page.evaluate(
            () =>
              new Promise<boolean>((done) => {
                const frame = document.createElement('iframe');
                frame.src = 'second.html';
                frame.onload = () => done(Boolean(frame.contentDocument?.querySelector('#gallery')));
                document.body.append(frame);
              }),
          );
          assert.equal(framed, false, 'X-Frame-Options');
        }
        assert.ok(host.count(isContent) > 0);
      });
    });
  });
}
