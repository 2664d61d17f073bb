package swarm

import (
	"net"
	"sync"
	"time"

	pion "github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
)

// interfacesTime is how long the machine's addresses are taken to be those that they were.
const interfacesTime = 5 * time.Second

// A network is the machine's as connections see it. All of a node share one: each would list the machine's interfaces
// for itself, and keep the list.
type network struct {
	*stdnet.Net

	mu     sync.Mutex
	listed time.Time
}

func newNetwork() (*network, error) {
	n, err := stdnet.NewNet()
	return &network{Net: n, listed: time.Now()}, err
}

// Interfaces implements pion.Net.
func (n *network) Interfaces() ([]*pion.Interface, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(n.listed) > interfacesTime {
		if err := n.UpdateInterfaces(); err != nil {
			return nil, err
		}
		n.listed = time.Now()
	}
	return n.Net.Interfaces()
}

// networked tells whether this machine has an address that others could know.
func networked() bool {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, address := range addresses {
		if ip, ok := address.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			return true
		}
	}
	return false
}

// reachable tells whether an address of this machine is worth a socket of every connection. Those of IPv6 that mean
// something on one link alone are not to be gathered where there are others (RFC 8445, section 5.1.1.1), and browsers
// never do.
func reachable(ip net.IP) bool { return ip.To4() != nil || !ip.IsLinkLocalUnicast() }
