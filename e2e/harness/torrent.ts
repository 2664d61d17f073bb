/** The little of BEP 3 that the tests need to change a torrent without touching its info dictionary. */

/** The torrent without its `url-list` (BEP 19), so that a client has only peers to take from. */
export function withoutWebSeeds(torrent: Buffer): Buffer {
  const parts: Buffer[] = [Buffer.from('d')];
  for (let at = 1; torrent[at] !== 0x65 /* e */;) {
    const key = end(torrent, at);
    const value = end(torrent, key);
    if (torrent.subarray(at, key).toString('latin1') !== '8:url-list') parts.push(torrent.subarray(at, value));
    at = value;
  }
  return Buffer.concat([...parts, Buffer.from('e')]);
}

/** Where the bencoded value that begins at `at` ends. */
function end(bytes: Buffer, at: number): number {
  const kind = String.fromCharCode(bytes[at] ?? 0);
  if (kind === 'i') return bytes.indexOf('e', at) + 1;
  if (kind === 'l' || kind === 'd') {
    let inner = at + 1;
    while (bytes[inner] !== 0x65) inner = end(bytes, inner);
    return inner + 1;
  }
  const colon = bytes.indexOf(':', at);
  if (!/^[0-9]$/.test(kind) || colon < 0) throw new Error(`no bencoded value at byte ${at}`);
  return colon + 1 + Number(bytes.subarray(at, colon).toString('latin1'));
}
