package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/planktos/planktos"
)

// summary is what pack tells when it is done; with --json, as JSON.
type summary struct {
	// Root is the folder that was packed, as it was named.
	Root string `json:"root"`
	planktos.Description
	planktos.Published
	InPlace bool `json:"inPlace"`
	// LibOnly tells that nothing but the scripts was written.
	LibOnly bool `json:"libOnly"`
}

// leftOutLines is how many paths that were left out are named.
const leftOutLines = 8

func (s summary) print(p *program, asJSON bool) error {
	if asJSON {
		if s.LibOnly {
			return printJSON(p.stdout, struct {
				Root    string `json:"root"`
				LibOnly bool   `json:"libOnly"`
			}{s.Root, true})
		}
		return printJSON(p.stdout, s)
	}
	var b strings.Builder
	if s.LibOnly {
		fmt.Fprintf(&b, "wrote the runtime's scripts into %s\n", s.Root)
		_, err := io.WriteString(p.stdout, b.String())
		return err
	}
	fmt.Fprintf(&b, "packed %s into %s\n", plural(s.Files, "file"), s.Root)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-10s "+format+"\n", append([]any{name}, args...)...)
	}
	row("snapshot", "%s", s.Snapshot)
	row("content", "%s, %s distinct", bytesOf(s.Bytes), bytesOf(s.ContentBytes))
	if s.Read < s.Files {
		row("hashed", "%s, the others are what they were", plural(s.Read, "file"))
	}
	row("manifest", "%s%s", bytesOf(int64(s.ManifestBytes)), shardsOf(s.Shards))
	row("torrent", "%s, %s of %d KiB", s.InfoHash, plural(s.Pieces, "piece"), s.PieceLength>>10)
	row("policy", "%s, prefers %s", s.Mode, s.Prefer)
	if s.Signed != nil {
		row("signed", "%s", signatureText(s.Signed))
	}
	if n := len(s.Superseded); n > 0 {
		row("kept", "%s", plural(n, "superseded snapshot"))
	}
	if n := len(s.Edited); n > 0 {
		row("changed", "%s", plural(n, "page"))
	}
	if s.FirstVisit == "peers" {
		row("visits", "the first from peers, too; a Content-Security-Policy of the host must allow %s", s.FirstVisitHash)
	}
	b.WriteString(thirdPartyText(s.ThirdParties))
	b.WriteString(outageText(s.Description))
	b.WriteString(leftOutText(s.LeftOut))
	for _, seed := range s.BrowserSeeds {
		fmt.Fprintf(&b, "web seed %s serves browsers only: packed in place, its URL does not end in the torrent's name\n", seed)
	}
	_, err := io.WriteString(p.stdout, b.String())
	return err
}

// thirdPartyText names, host by host, who else learns of a visit.
func thirdPartyText(parties []planktos.ThirdParty) string {
	if len(parties) == 0 {
		return "visitors' browsers contact no third party\n"
	}
	var b strings.Builder
	b.WriteString("visitors' browsers will contact these third parties:\n")
	for _, party := range parties {
		fmt.Fprintf(&b, "  %-10s %s\n", party.Role, party.Host)
	}
	return b.String()
}

// outageText says so where visitors cannot find each other without the site's own host.
func outageText(d planktos.Description) string {
	elsewhere := slices.ContainsFunc(d.ThirdParties, func(p planktos.ThirdParty) bool { return p.Role == "tracker" })
	if elsewhere || d.Mode == "off" {
		return ""
	}
	return "no tracker on another host: visitors will not find each other while the site's own is down; --tracker names one\n"
}

// leftOutText names what was not packed, apart from what Planktos itself has written.
func leftOutText(left []planktos.LeftOut) string {
	left = slices.DeleteFunc(slices.Clone(left), func(l planktos.LeftOut) bool {
		return l.Path == "planktos" || l.Path == "planktos.sw.min.js"
	})
	if len(left) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "left out %s:\n", plural(len(left), "path"))
	for i, l := range left {
		if i == leftOutLines {
			fmt.Fprintf(&b, "  and %d more\n", len(left)-i)
			break
		}
		fmt.Fprintf(&b, "  %s %s\n", l.Path, l.Reason)
	}
	return b.String()
}

func shardsOf(n int) string {
	if n == 0 {
		return ""
	}
	return " and " + plural(n, "shard")
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// bytesOf writes a number of bytes for people, in units of 1,000.
func bytesOf(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d bytes", n)
	}
	size, unit := float64(n)/1000, 0
	for size >= 999.95 && unit < len(units)-1 {
		size, unit = size/1000, unit+1
	}
	return fmt.Sprintf("%.1f %cB", size, units[unit])
}
