package swarm

import (
	"regexp"
	"strings"
)

// What is read of a session description (RFC 8866, RFC 8839): which candidates it names. The twin is
// browser/src/shared/sdp.ts.

const (
	// maxCandidates of one description are used, so that no offer makes us probe a network for somebody.
	maxCandidates = 8
	// keptForRemote of them are kept for addresses outside the own network (srflx, prflx, relay) where there are such.
	keptForRemote = 4
	// maxDescription is the longest description that is read, in bytes.
	maxDescription = 16 << 10
)

var udpCandidate = regexp.MustCompile(`(?i)^a=candidate:\S+ \d+ udp `)

// trimSDP gives the description with at most maxCandidates UDP candidates; false if it is not for a data channel alone.
func trimSDP(sdp string) (string, bool) {
	if len(sdp) > maxDescription {
		return "", false
	}
	lines := strings.Split(strings.ReplaceAll(sdp, "\r\n", "\n"), "\n")
	media := 0
	var hosts, remotes []int
	for i, line := range lines {
		switch {
		case strings.HasPrefix(line, "m="):
			media++
			if !strings.HasPrefix(line, "m=application ") {
				return "", false
			}
		case !udpCandidate.MatchString(line):
		case strings.Contains(line, " typ host"):
			hosts = append(hosts, i)
		default:
			remotes = append(remotes, i)
		}
	}
	if lines[0] != "v=0" || media != 1 {
		return "", false
	}
	first := remotes[:min(len(remotes), keptForRemote)]
	ordered := append(append(append([]int{}, first...), hosts...), remotes[len(first):]...)
	kept := make(map[int]bool)
	for _, i := range ordered[:min(len(ordered), maxCandidates)] {
		kept[i] = true
	}
	out := lines[:0]
	for i, line := range lines {
		if kept[i] || !strings.HasPrefix(line, "a=candidate:") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\r\n"), true
}
