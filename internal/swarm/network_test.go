package swarm

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestReachable(t *testing.T) {
	for ip, want := range map[string]bool{
		"192.0.2.1": true, "10.0.0.1": true, "169.254.3.4": true, "2001:db8::1": true, "fd00::1": true, "::1": true,
		"fe80::1": false, "febf::1": false,
	} {
		if reachable(net.ParseIP(ip)) != want {
			t.Errorf("%s: got %v", ip, !want)
		}
	}
}

func TestNetworkIsListedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := newNetwork()
		if err != nil {
			t.Fatal(err)
		}
		first := func() any {
			t.Helper()
			list, err := n.Interfaces()
			if err != nil || len(list) == 0 {
				t.Fatalf("got %v, %v", list, err)
			}
			return list[0]
		}
		before := first()
		if first() != before {
			t.Error("listed for each connection")
		}
		time.Sleep(interfacesTime + time.Second)
		if first() == before {
			t.Error("never listed again")
		}
	})
}
