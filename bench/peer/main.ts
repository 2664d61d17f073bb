/**
 * `make bench-peer`: 50 MB from one visitor to one other, over a bare data channel, by Planktos and by WebTorrent, in
 * turn, each visitor in a browser of its own. `--memory` measures the engine's memory for a large file instead, for
 * half a minute, and with `--whole` until the file is there.
 */
import { parseArgs } from 'node:util';
import { main } from '../harness/scope.ts';
import { compare } from './compare.ts';
import { engineMemory } from './memory.ts';
import { bare, planktos, webtorrent } from './transfers.ts';

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '50' },
    rounds: { type: 'string', default: '3' },
    memory: { type: 'boolean', default: false },
    whole: { type: 'boolean', default: false },
  },
});

await main(async (scope) => {
  if (values.memory) {
    const peak = await engineMemory(scope, values.whole ? 1_200 : 30);
    console.log(`engine, 2 GB file: ${(peak.bytes / 2 ** 20).toFixed(1)} MiB at the most (target 64), ${peak.detail}`);
    return;
  }
  await compare(scope, {
    title: 'one to one',
    name: 'peer',
    sizeBytes: Number(values.megabytes) * 1e6,
    rounds: Number(values.rounds),
    methods: { 'bare channel': bare, planktos, webtorrent },
    targets: { planktos: '>= 0.85' },
  });
});
