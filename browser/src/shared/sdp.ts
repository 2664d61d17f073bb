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
  if (!sdp.startsWith('v=0')) return undefined;
  const lines = sdp.split(/\r\n|\n/);
  const media = lines.filter((line) => line.startsWith('m='));
  if (media.length !== 1 || !media[0]!.startsWith('m=application ')) return undefined;
  const candidates = lines.filter((line) => /^a=candidate:\S+ \d+ udp /i.test(line));
  const remote = candidates.filter((line) => !line.includes(' typ host'));
  const host = candidates.filter((line) => line.includes(' typ host'));
  const remoteCount = Math.min(remote.length, Math.max(keptForRemote, maxCandidates - host.length));
  const kept = new Set([...remote.slice(0, remoteCount), ...host.slice(0, maxCandidates - remoteCount)]);
  return lines.filter((line) => !line.startsWith('a=candidate:') || kept.delete(line)).join('\r\n');
}

/** What ICE gathering has found so far: `none`, only the own network's addresses, or some that others can reach. */
export function reach(sdp: string): 'none' | 'host' | 'remote' {
  if (/^a=candidate:.* typ (srflx|prflx|relay)\b/m.test(sdp)) return 'remote';
  return /^a=candidate:/m.test(sdp) ? 'host' : 'none';
}
