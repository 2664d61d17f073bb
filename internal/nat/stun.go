// Package nat helps peers behind network address translators to find each other: a STUN server (RFC 8489), which tells
// a client the address that its packets come from.
//
//	conn, err := net.ListenPacket("udp", ":3478")
//	s := &nat.STUN{}
//	defer s.Close()
//	err = s.Serve(conn)
//
// This package is the sole importer of pion/stun.
package nat

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/pion/stun/v3"
)

// STUN answers Binding requests with XOR-MAPPED-ADDRESS and is silent about everything else. It asks for no credentials
// and keeps no state. A response is at most 44 bytes to a request of 20 (twice as much, RFC 8489's least for an IPv6
// address): it is no amplifier. The zero value is ready to use.
type STUN struct {
	// Logger is told of errors of the socket. If nil, nothing is logged.
	Logger *slog.Logger

	mu     sync.Mutex
	conns  map[net.PacketConn]struct{} // guarded by mu; nil after Close
	closed bool
	wait   sync.WaitGroup
}

const (
	// maxPacketBytes is more than any request that deserves an answer: 1,280 is IPv6's least MTU.
	maxPacketBytes = 1500
	// maxErrors reads may fail in a row (a client's port that is closed can fail one) before the socket is given up.
	maxErrors = 100
)

// Serve answers what comes in on conn until Close is called (at once, if it has been), and then returns nil, or until
// conn fails. It closes conn.
// It may be called several times, at once, for several sockets.
func (s *STUN) Serve(conn net.PacketConn) error {
	defer conn.Close()
	if !s.open(conn) {
		return nil
	}
	defer s.done(conn)

	log := s.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	packet := make([]byte, maxPacketBytes)
	var request, response stun.Message
	for failures := 0; ; {
		n, from, err := conn.ReadFrom(packet)
		switch {
		case err == nil:
			failures = 0
		case s.isClosed():
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			if failures++; failures == maxErrors {
				return err
			}
			continue
		}
		udp, ok := from.(*net.UDPAddr)
		if !ok {
			continue
		}
		address := udp.AddrPort()
		if !answer(packet[:n], address, &request, &response) {
			continue
		}
		if _, err := conn.WriteTo(response.Raw, from); err != nil && !s.isClosed() {
			log.Debug("stun response not sent", "to", address, "error", err)
		}
	}
}

// Close closes the sockets being served and waits until Serve has returned for each. Closing again does nothing.
func (s *STUN) Close() error {
	s.mu.Lock()
	s.closed = true
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.wait.Wait()
	return nil
}

func (s *STUN) open(conn net.PacketConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.conns == nil {
		s.conns = make(map[net.PacketConn]struct{})
	}
	s.conns[conn] = struct{}{}
	s.wait.Add(1)
	return true
}

func (s *STUN) done(conn net.PacketConn) {
	s.mu.Lock()
	delete(s.conns, conn)
	s.mu.Unlock()
	s.wait.Done()
}

func (s *STUN) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// answer writes the response to a packet, and reports whether there is one. Only requests are answered, so that two
// servers cannot be made to answer each other.
func answer(packet []byte, from netip.AddrPort, request, response *stun.Message) bool {
	request.Raw = packet
	if from.Port() == 0 || request.Decode() != nil || request.Type != stun.BindingRequest ||
		len(packet) != 20+int(request.Length) || packet[0] > 3 {
		return false
	}
	fingerprint := request.Contains(stun.AttrFingerprint)
	if fingerprint && stun.Fingerprint.Check(request) != nil {
		return false
	}
	response.Reset()
	response.TransactionID = request.TransactionID
	setters := make([]stun.Setter, 0, 3)
	if unknown := unknownAttributes(request); len(unknown) > 0 {
		response.Type = stun.BindingError
		setters = append(setters, stun.CodeUnknownAttribute, unknown)
	} else {
		response.Type = stun.BindingSuccess
		setters = append(setters, &stun.XORMappedAddress{IP: from.Addr().Unmap().AsSlice(), Port: int(from.Port())})
	}
	if fingerprint {
		setters = append(setters, stun.Fingerprint)
	}
	response.WriteHeader()
	for _, set := range setters {
		if set.AddTo(response) != nil {
			return false
		}
	}
	return true
}

// maxUnknown is how many unknown attributes an error response names, which bounds its length.
const maxUnknown = 8

// unknownAttributes returns the attributes that a server must understand to answer (RFC 8489, section 6.3.1) and that
// this one does not. Credentials are understood, and not asked for.
func unknownAttributes(m *stun.Message) (unknown stun.UnknownAttributes) {
	for _, attribute := range m.Attributes {
		switch attribute.Type {
		case stun.AttrUsername, stun.AttrMessageIntegrity, stun.AttrMessageIntegritySHA256, stun.AttrRealm,
			stun.AttrNonce, stun.AttrUserhash, stun.AttrPasswordAlgorithm:
		default:
			if attribute.Type.Required() && len(unknown) < maxUnknown {
				unknown = append(unknown, attribute.Type)
			}
		}
	}
	return unknown
}
