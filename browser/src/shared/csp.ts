/**
 * Whether a Content-Security-Policy lets a page run one more external script (CSP Level 3, 6.7.1). Conservative: what
 * is not understood is taken to forbid it, and a policy that trusts nonces or hashes alone trusts no address.
 */

/** `header` is the value of `Content-Security-Policy`, several policies joined by commas. `script` is absolute. */
export function allowsScript(header: string | null, script: string): boolean {
  const url = new URL(script);
  return (header ?? '').split(',').every((policy) => policyAllows(policy, url));
}

function policyAllows(policy: string, url: URL): boolean {
  const directives = new Map<string, string[]>();
  for (const directive of policy.toLowerCase().split(';')) {
    const [name, ...values] = directive.trim().split(/\s+/);
    if (name && !directives.has(name)) directives.set(name, values);
  }
  // A sandboxed page has no worker, or runs no script; trusted types would refuse the engine's addresses.
  if (directives.has('sandbox') || directives.has('require-trusted-types-for')) return false;
  const sources = directives.get('script-src-elem') ?? directives.get('script-src') ?? directives.get('default-src');
  return !sources || (!sources.includes("'strict-dynamic'") && sources.some((source) => matches(source, url)));
}

/** Whether a source expression covers the URL, which is of the page's own origin. `source` is in lower case. */
function matches(source: string, url: URL): boolean {
  if (source === "'self'" || source === '*') return true;
  const scheme = /^([a-z][a-z0-9+.-]*:)$/.exec(source);
  if (scheme) return covers(scheme[1]!, url.protocol);
  const host = /^(?:([a-z][a-z0-9+.-]*:)\/\/)?((?:\*\.)?[a-z0-9.-]+|\*)(?::(\d+|\*))?(\/[^?#]*)?$/.exec(source);
  if (!host) return false;
  const [, protocol, name = '', port, path = '/'] = host;
  const [hostname = '', ownPort] = url.host.split(':');
  if (protocol && !covers(protocol, url.protocol)) return false;
  if (name.startsWith('*.') ? !hostname.endsWith(name.slice(1)) : name !== '*' && name !== hostname) return false;
  if (port !== '*' && (port ?? defaultPort(url)) !== (ownPort ?? defaultPort(url))) return false;
  const own = url.pathname.toLowerCase();
  return path.endsWith('/') ? own.startsWith(path) : own === path;
}

const covers = (allowed: string, protocol: string): boolean =>
  allowed === protocol || (allowed === 'http:' && protocol === 'https:');

const defaultPort = (url: URL): string => (url.protocol === 'https:' ? '443' : '80');
