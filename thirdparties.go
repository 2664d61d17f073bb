package planktos

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/planktos/planktos/internal/manifest"
)

// A ThirdParty is a host that a visitor's browser contacts because the site's owner said so.
type ThirdParty struct {
	// Host is HOST or HOST:PORT.
	Host string `json:"host"`
	// Role is "tracker", "stun", "turn" or "web seed": what the host is contacted for.
	Role string `json:"role"`
}

// thirdParties lists the hosts that a manifest names, each once a role, sorted by role and host.
func thirdParties(root *manifest.Root) []ThirdParty {
	list := []ThirdParty{}
	add := func(role, address string) {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" {
			return // a path on the site's own host
		}
		list = append(list, ThirdParty{Host: u.Host, Role: role})
	}
	for _, t := range root.Trackers {
		add("tracker", t)
	}
	for _, server := range root.ICE {
		for _, u := range server.URLs {
			scheme, host, _ := strings.Cut(u, ":")
			host, _, _ = strings.Cut(host, "?")
			list = append(list, ThirdParty{Host: host, Role: strings.TrimSuffix(scheme, "s")})
		}
	}
	for _, w := range root.WebSeeds {
		add("web seed", w)
	}
	slices.SortStableFunc(list, func(a, b ThirdParty) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Host, b.Host))
	})
	return slices.Compact(list)
}
