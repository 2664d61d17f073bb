/**
 * Two homes behind network address translation and a host on the network between them, out of Linux network
 * namespaces, veth pairs and nftables:
 *
 *     home a 10.1.0.2 ── gateway a 203.0.113.2 ──┐
 *                                                ├── host 203.0.113.1
 *     home b 10.2.0.2 ── gateway b 203.0.113.3 ──┘
 *
 * The gateways masquerade and let nothing in that was not asked for (RFC 4787: endpoint-independent mapping where the
 * port is free, address and port-dependent filtering).
 */
import { onEnd } from './cleanup.ts';
import type { Scope } from './cleanup.ts';
import { check, run } from './process.ts';

export interface Nat {
  /** namespaces' names, for `ip netns exec` */
  host: string;
  homes: [string, string];
  /** the host's address */
  address: string;
}

/** Why the machine cannot do this, or undefined if it can. */
export async function natUnavailable(): Promise<string | undefined> {
  const name = `planktos-probe-${process.pid}`;
  const made = await run('ip', ['netns', 'add', name]).catch((error: Error) => ({ status: -1, stderr: error.message }));
  if (made.status !== 0) return `network namespaces are not permitted here: ${made.stderr.trim()}`;
  const table = await run('ip', [
    'netns',
    'exec',
    name,
    'nft',
    'add table ip probe; add chain ip probe out { type nat hook postrouting priority 100; }',
  ]);
  await run('ip', ['netns', 'delete', name]);
  return table.status === 0 ? undefined : `nftables cannot translate addresses here: ${table.stderr.trim()}`;
}

/** Builds the network; it goes with the test. */
export async function natNetwork(scope: Scope): Promise<Nat> {
  const id = process.pid.toString(36);
  const name = (part: string): string => `pk${id}${part}`;
  const names = ['host', 'gwa', 'gwb', 'a', 'b'].map(name);
  onEnd(scope, async () => {
    for (const each of names) await run('ip', ['netns', 'delete', each]);
  });
  for (const each of names) {
    await check('ip', ['netns', 'add', each]);
    await check('ip', ['-n', each, 'link', 'set', 'lo', 'up']);
  }
  // The network between: a bridge in the host's namespace.
  await check('ip', ['-n', name('host'), 'link', 'add', 'net', 'type', 'bridge']);
  await check('ip', ['-n', name('host'), 'address', 'add', '203.0.113.1/24', 'dev', 'net']);
  await check('ip', ['-n', name('host'), 'link', 'set', 'net', 'up']);
  for (const [side, outer, inner] of [
    ['a', '203.0.113.2', '10.1.0'],
    ['b', '203.0.113.3', '10.2.0'],
  ] as const) {
    const gateway = name(`gw${side}`);
    const home = name(side);
    await check('ip', [
      'link',
      'add',
      'wan',
      'netns',
      gateway,
      'type',
      'veth',
      'peer',
      'name',
      `to-${side}`,
      'netns',
      name('host'),
    ]);
    await check('ip', ['-n', name('host'), 'link', 'set', `to-${side}`, 'master', 'net', 'up']);
    await check('ip', ['-n', gateway, 'address', 'add', `${outer}/24`, 'dev', 'wan']);
    await check('ip', ['-n', gateway, 'link', 'set', 'wan', 'up']);
    await check('ip', ['link', 'add', 'lan', 'netns', gateway, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', home]);
    await check('ip', ['-n', gateway, 'address', 'add', `${inner}.1/24`, 'dev', 'lan']);
    await check('ip', ['-n', gateway, 'link', 'set', 'lan', 'up']);
    await check('ip', ['-n', home, 'address', 'add', `${inner}.2/24`, 'dev', 'eth0']);
    await check('ip', ['-n', home, 'link', 'set', 'eth0', 'up']);
    await check('ip', ['-n', home, 'route', 'add', 'default', 'via', `${inner}.1`]);
    await check('ip', ['netns', 'exec', gateway, 'sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    await check('ip', ['netns', 'exec', gateway, 'nft', '-f', '-'], {
      input: `table ip nat {
  chain out { type nat hook postrouting priority 100; oifname "wan" masquerade; }
}
table ip filter {
  chain through {
    type filter hook forward priority 0; policy drop;
    iifname "lan" accept; ct state established,related accept;
  }
  chain in {
    type filter hook input priority 0; policy drop;
    iifname { "lan", "lo" } accept; ct state established,related accept;
  }
}
`,
    });
  }
  return { host: name('host'), homes: [name('a'), name('b')], address: '203.0.113.1' };
}
