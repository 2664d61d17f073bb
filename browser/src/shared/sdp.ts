/**
 * The little that Planktos reads of a session description (RFC 8866, RFC 8839): which candidates it names. The rest is
 * between the browsers.
 */

/** Candidates of one description that are used, so that no offer makes a browser probe a network for somebody. */
export const maxCandidates = 8;

/** Those of them that are kept for addresses outside the own network (srflx, prflx, relay) where there are such. */
const keptForRemote = 4;

/**
 * The description with at most `maxCandidates` UDP candidates, or undefined if it is not for a data channel alone.
 * TCP candidates go: browsers only ever offer the active side, so two of them never meet.
 */
export function trimSdp(sdp: string): string | undefined {
  const lines = sdp.split(/\r?\n/);
  const media = lines.filter((line) => line.startsWith('m='));
  if (lines[0] !== 'v=0' || media.length !== 1 || !media[0]!.startsWith('m=application ')) return undefined;
  const isHost = (line: string): boolean => line.includes(' typ host');
  const candidates = lines.filter((line) => /^a=candidate:\S+ \d+ udp /i.test(line));
  const remote = candidates.filter((line) => !isHost(line));
  const ordered = [...remote.splice(0, keptForRemote), ...candidates.filter(isHost), ...remote];
  const kept = new Set(ordered.slice(0, maxCandidates));
  return lines.filter((line) => !line.startsWith('a=candidate:') || kept.delete(line)).join('\r\n');
}
