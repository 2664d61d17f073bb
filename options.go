package planktos

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/planktos/planktos/internal/defaults"
	"github.com/planktos/planktos/internal/manifest"
)

// Options says how a site is packed. The zero value packs everything with the defaults named at each field.
type Options struct {
	// Paths are the files and directories to pack, relative to the site's root and slash-separated. If empty,
	// everything is packed. Dot-files, planktos/, planktos.sw.min.js and planktos.json are always left out, and so
	// is what a .planktosignore file (in gitignore's syntax) names.
	Paths []string

	// Exclude are patterns of paths to leave out: shell patterns in which ** matches any number of directories.
	Exclude []string

	// Base is the URL path that the site's root has on its host, such as "/docs/". If empty, "/".
	Base string

	// InPlace makes no hashed copies: manifest and torrent name the site's own files. For hosts that limit size or
	// number of files.
	InPlace bool

	// TagHTML packs HTML documents that lack Planktos' script tag as if they had it. A [Handler] serves them so, without
	// changing any file; [Site.Publish] writes it into the files.
	TagHTML bool

	// FirstVisit says how a visitor's first page is loaded: "plain", untouched over HTTP; or "peers", with a snippet in
	// the pages that starts the service worker before anything else is fetched, which peers then serve as well. It is
	// added like TagHTML's tag, and takes effect only if Mode is "auto": without a visitor's permission there are no
	// peers. If empty, "plain".
	FirstVisit string

	// Mode says when visitors share: "auto" (at once), "ask" (after the visitor agreed) or "off" (never). If empty,
	// "auto".
	Mode string

	// Prefer says which matters more: the visitor's "speed", or to "offload" the origin. If empty, "speed".
	Prefer string

	// Prefetch is how many bytes a page may fetch from other visitors, in idle time, of what its links lead to. If
	// zero, 2,000,000. If negative, none.
	Prefetch int64

	// Trackers introduce visitors to each other: wss: or ws: URLs, or paths on the site's own host. If nil, [Pack]
	// uses a short list of public ones, and [Handler] only its own. If empty but not nil, there is none.
	Trackers []string

	// ICE are the STUN and TURN servers by which visitors find ways to each other. If nil, [Pack] uses a short list of
	// public STUN servers, and [Handler] none but its own (see [Handler.STUNPort]). If empty but not nil, there is
	// none.
	ICE []ICEServer

	// WebSeeds are root URLs of other hosts that carry the same packed site.
	WebSeeds []string

	// Headers are the response headers that the host gives the site's paths, in order; later rules override earlier
	// ones. A visitor's browser applies them where it has not seen the host's own, and [Handler] sends them.
	Headers []HeaderRule

	// Cache is the path of a file by which a [Site.Publish] tells the next [PackDir] of the same folder what it found out,
	// so that files that have not changed since need not be read: what the file system says of them (size, times, inode)
	// must be the same and settled. It holds no secrets, and must not lie among the site's files. Without it, or where it
	// is of no use, the result is the same and takes longer. If empty, every file is read. [Pack] writes none.
	Cache string

	// Rehash has every file read, and Cache written anew.
	Rehash bool

	// Progress, if not nil, is told now and then how many bytes of how many have been hashed, by one goroutine at a
	// time.
	Progress func(done, total int64)
}

// A HeaderRule gives response headers to the paths that match a pattern.
type HeaderRule struct {
	// Pattern is a path relative to the site's root, or a prefix followed by "*".
	Pattern string
	// Headers maps names to values.
	Headers map[string]string
}

// defaultICE is the list of public STUN servers.
func defaultICE() []ICEServer {
	return []ICEServer{{URLs: defaults.STUN()}}
}

// settings is Options with everything checked and put into normal form.
type settings struct {
	base     string
	first    bool // pages get the first-visit snippet
	policy   manifest.Policy
	trackers []string
	ice      []ICEServer
	webSeeds []string
	headers  []HeaderRule
}

// settings checks o; a mistake is an [*OptionError].
func (o *Options) settings() (*settings, error) {
	s := &settings{trackers: defaults.Trackers(), ice: defaultICE(), headers: o.Headers}
	var err error
	if s.base, err = ParseBase(o.Base); err != nil {
		return nil, err
	}
	s.policy = manifest.Policy{Mode: "auto", Prefer: "speed", Prefetch: max(o.Prefetch, 0)}
	if o.Prefetch == 0 {
		s.policy.Prefetch = manifest.DefaultPrefetch
	}
	if o.Prefetch > manifest.MaxSize {
		return nil, &OptionError{"prefetch", strconv.FormatInt(o.Prefetch, 10), "it is too large", "give at most 9 PB"}
	}
	switch o.Mode {
	case "":
	case "auto", "ask", "off":
		s.policy.Mode = o.Mode
	default:
		return nil, &OptionError{"mode", o.Mode, "there is no such mode", "give auto, ask or off"}
	}
	switch o.Prefer {
	case "":
	case "speed", "offload":
		s.policy.Prefer = o.Prefer
	default:
		return nil, &OptionError{"prefer", o.Prefer, "there is no such preference", "give speed or offload"}
	}
	switch o.FirstVisit {
	case "", "plain":
	case "peers":
		s.first = s.policy.Mode == "auto"
	default:
		return nil, &OptionError{"first-visit", o.FirstVisit, "there is no such way", "give plain or peers"}
	}
	if o.Trackers != nil {
		s.trackers = []string{}
	}
	for _, t := range o.Trackers {
		if t, err = ParseTracker(t); err != nil {
			return nil, err
		}
		s.trackers = append(s.trackers, t)
	}
	if o.ICE != nil {
		s.ice = o.ICE
	}
	for _, server := range s.ice {
		for _, u := range server.URLs {
			if reason, hint := checkICE(u, server); reason != "" {
				return nil, &OptionError{"ice", u, reason, hint}
			}
		}
	}
	for _, w := range o.WebSeeds {
		if w, err = ParseWebSeed(w); err != nil {
			return nil, err
		}
		s.webSeeds = append(s.webSeeds, w)
	}
	for _, rule := range o.Headers {
		if err := checkHeaders(rule); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// ParseBase checks a site's base path and returns it in normal form, with a slash at both ends. Errors are of type
// [*OptionError].
func ParseBase(s string) (string, error) {
	if s == "" {
		return "/", nil
	}
	const want = "give the path of the site's root on its host, such as /docs/"
	if strings.Contains(s, "://") || strings.HasPrefix(s, "//") {
		return "", &OptionError{"base", s, "this is a URL", want}
	}
	for _, segment := range strings.Split(s, "/") {
		if segment == ".." || segment == "." {
			return "", &OptionError{"base", s, "it has a " + segment + " segment", want}
		}
	}
	clean := path.Clean("/" + s)
	if clean != "/" {
		clean += "/"
	}
	if !basePath.MatchString(clean) {
		return "", &OptionError{"base", s, "it has characters that a URL does not hold as they are", "percent-encode them"}
	}
	return clean, nil
}

// basePath matches what URLs may hold as it stands, in an HTML attribute too.
var basePath = regexp.MustCompile(`^/(?:(?:[\w.~!$()*+,;=:@-]|%[0-9A-Fa-f]{2})+/)*$`)

// checkHeaders refuses what is no header, and the headers that belong to a transfer rather than to a path.
func checkHeaders(rule HeaderRule) error {
	if i := strings.IndexByte(rule.Pattern, '*'); i >= 0 && i != len(rule.Pattern)-1 || strings.HasPrefix(rule.Pattern, "/") {
		return &OptionError{"headers", rule.Pattern, "not a path relative to the site's root, or a prefix of one",
			`give a path such as "docs/a.html", or a prefix and a star: "docs/*"`}
	}
	for name, value := range rule.Headers {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !isTokenRune(r) }) {
			return &OptionError{"headers", name, "no name of a header", ""}
		}
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return &OptionError{"headers", name, fmt.Sprintf("its value %q has a control character", value), ""}
		}
		switch strings.ToLower(name) {
		case "content-length", "content-encoding", "content-range", "transfer-encoding", "connection", "set-cookie", "etag":
			return &OptionError{"headers", name, "it belongs to one response, not to a path", ""}
		}
	}
	return nil
}

// isTokenRune says whether r may stand in a header's name (RFC 9110, section 5.6.2).
func isTokenRune(r rune) bool {
	return r < 0x7f && (r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' ||
		strings.ContainsRune("!#$%&'*+-.^_`|~", r))
}
