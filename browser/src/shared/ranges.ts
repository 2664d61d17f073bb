/** Range requests, RFC 9110 section 14. */

/** Bytes [start, end) of a content. */
export interface ByteRange {
  start: number;
  end: number;
}

/**
 * What a `Range` header asks of a content of `size` bytes: one range, `'unsatisfiable'` (416), or undefined where the
 * whole content is the answer: no header, another unit, a malformed or a multi-part range, and a suffix of nothing.
 */
export function parseRange(header: string | null | undefined, size: number): ByteRange | 'unsatisfiable' | undefined {
  const match = /^bytes=\s*(\d*)-(\d*)\s*$/i.exec(header ?? '');
  if (!match) return undefined;
  const [, first = '', last = ''] = match;
  if (!first) {
    if (!last) return undefined;
    if (!Number(last)) return 'unsatisfiable';
    return size ? { start: Math.max(0, size - Number(last)), end: size } : undefined;
  }
  const start = Number(first);
  if (last && Number(last) < start) return undefined;
  return start < size ? { start, end: last ? Math.min(Number(last) + 1, size) : size } : 'unsatisfiable';
}

/** The `Content-Range` of a 206, or of a 416 where no range is given. */
export function contentRange(range: ByteRange | undefined, size: number): string {
  return `bytes ${range ? `${range.start}-${range.end - 1}` : '*'}/${size}`;
}

/**
 * Whether `If-Range` (RFC 9110, 13.1.5) lets a range through: only a strong validator that is the content's own does,
 * one of `validators` (its ETag and Last-Modified).
 */
export const ifRangeHolds = (ifRange: string | null, ...validators: (string | null | undefined)[]): boolean =>
  !ifRange || (!ifRange.startsWith('W/') && validators.includes(ifRange));
