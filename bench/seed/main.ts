/**
 * The second half of `make bench-seed`: 50 MB from a peer without a browser to a visitor, over a bare data channel and by
 * Planktos, in turn. The first half, between peers without browsers, is a benchmark of internal/swarm.
 */
import { parseArgs } from 'node:util';
import { main } from '../harness/scope.ts';
import { compare } from '../peer/compare.ts';
import { bare } from './bare.ts';
import { seeder } from './seeder.ts';

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '50' },
    rounds: { type: 'string', default: '3' },
  },
});

await main((scope) =>
  compare(scope, {
    title: 'seeder to browser',
    name: 'seed',
    sizeBytes: Number(values.megabytes) * 1e6,
    rounds: Number(values.rounds),
    methods: { 'bare channel': bare, seeder },
    targets: { seeder: '>= 0.85' },
  }),
);
