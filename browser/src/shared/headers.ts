/** Which responses may be kept, and which of their headers belong to the content rather than to one transfer. */

export type HeaderList = [name: string, value: string][];

/** The part of `Headers` that is read here. */
export interface HeaderReader {
  get(name: string): string | null;
  forEach(each: (value: string, name: string) => void): void;
}

/**
 * Headers of one transfer, of one moment, or of an encoding that the body no longer has. `clear-site-data` is an order
 * to be carried out once.
 */
const transfer = [
  /^(accept-ranges|age|alt-svc|clear-site-data|connection|content-(encoding|length|range)|date|keep-alive)$/i,
  /^(proxy-authenticate|server-timing|set-cookie|te|trailer|transfer-encoding|upgrade|vary)$/i,
];

/** The headers worth keeping with a content. */
export function keptHeaders(headers: HeaderReader): HeaderList {
  const kept: HeaderList = [];
  headers.forEach((value, name) => {
    if (!transfer.some((names) => names.test(name))) kept.push([name, value]);
  });
  return kept;
}

/** Whether the response is for one visitor only: never stored, never shared. */
export function isPrivate(headers: HeaderReader): boolean {
  return (
    /(^|[\s,])(private|no-store)\b/i.test(headers.get('cache-control') ?? '') ||
    /\*|\b(cookie|authorization)\b/i.test(headers.get('vary') ?? '')
  );
}

/** How long a cache may give what is kept with these without asking for it again, by `max-age` (RFC 9111, 4.2.1), in ms. */
export function lifetimeMs(headers: HeaderList): number {
  const [, control = ''] = headers.find(([name]) => /^cache-control$/i.test(name)) ?? [];
  const [, seconds = 0] = /(?:^|[\s,])max-age="?(\d+)/i.exec(control) ?? [];
  return /no-cache/i.test(control) ? 0 : 1000 * Number(seconds);
}

/**
 * Headers that protect a page rather than describe it: what one document of a site was sent with says what another one
 * would have been sent with, when the origin cannot be asked.
 */
export function protectiveHeaders(headers: HeaderList): HeaderList {
  const families = /^(content-security-policy|cross-origin-|document-policy)/i;
  const names = /^(origin-agent-cluster|permissions-policy|referrer-policy|x-content-type-options|x-frame-options)$/i;
  return headers.filter(([name]) => families.test(name) || names.test(name));
}
