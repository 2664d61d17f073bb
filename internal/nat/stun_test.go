package nat

import (
	"bytes"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

func serve(t *testing.T, network, address string) (client net.Conn, s *STUN) {
	t.Helper()
	conn, err := net.ListenPacket(network, address)
	if err != nil {
		t.Skipf("no %s here: %v", address, err)
	}
	s = &STUN{}
	served := make(chan error, 1)
	go func() { served <- s.Serve(conn) }()
	client, err = net.Dial("udp", conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	client.SetDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() {
		client.Close()
		s.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return client, s
}

func exchange(t *testing.T, client net.Conn, request []byte) (*stun.Message, []byte) {
	t.Helper()
	if _, err := client.Write(request); err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, 1500)
	n, err := client.Read(packet)
	if err != nil {
		t.Fatal(err)
	}
	response := &stun.Message{Raw: packet[:n]}
	if err := response.Decode(); err != nil {
		t.Fatal(err)
	}
	return response, packet[:n]
}

func TestBinding(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			client, _ := serve(t, "udp", address)
			request := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
			response, raw := exchange(t, client, request.Raw)
			var mapped stun.XORMappedAddress
			if err := mapped.GetFrom(response); err != nil {
				t.Fatal(err)
			}
			if response.Type != stun.BindingSuccess || response.TransactionID != request.TransactionID ||
				mapped.String() != client.LocalAddr().String() {
				t.Errorf("got %v %v, want %v", response, mapped, client.LocalAddr())
			}
			if len(raw) > 44 {
				t.Errorf("%d bytes answer %d", len(raw), len(request.Raw))
			}
		})
	}
}

func TestFingerprintIsReturned(t *testing.T) {
	client, _ := serve(t, "udp4", "127.0.0.1:0")
	response, _ := exchange(t, client,
		stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewSoftware("x"), stun.Fingerprint).Raw)
	if err := stun.Fingerprint.Check(response); err != nil {
		t.Error(err)
	}
}

func TestUnknownAttributeIsNamed(t *testing.T) {
	client, _ := serve(t, "udp4", "127.0.0.1:0")
	request := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	request.Add(stun.AttrType(0x7abc), []byte("four"))
	response, _ := exchange(t, client, request.Raw)
	var code stun.ErrorCodeAttribute
	var unknown stun.UnknownAttributes
	if code.GetFrom(response) != nil || code.Code != stun.CodeUnknownAttribute ||
		unknown.GetFrom(response) != nil || len(unknown) != 1 || unknown[0] != 0x7abc {
		t.Errorf("got %v", response)
	}
}

func silent() map[string][]byte {
	valid := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	broken := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.Fingerprint).Raw
	broken[len(broken)-1]++
	old := bytes.Clone(valid.Raw)
	old[4] = 0 // RFC 3489 has no magic cookie
	return map[string][]byte{
		"nothing":             {},
		"a text":              []byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"),
		"cut off":             valid.Raw[:19],
		"longer than it says": append(bytes.Clone(valid.Raw), 0),
		"no cookie":           old,
		"broken fingerprint":  broken,
		"an indication":       stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodBinding, stun.ClassIndication)).Raw,
		"a response":          stun.MustBuild(stun.TransactionID, stun.BindingSuccess).Raw,
		"another method":      stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest)).Raw,
		"channel data":        append([]byte{0x40, 0, 0, 16}, valid.Raw...),
		"too big":             make([]byte, 9000),
	}
}

func TestSilence(t *testing.T) {
	client, _ := serve(t, "udp4", "127.0.0.1:0")
	for name, packet := range silent() {
		if _, err := client.Write(packet); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	// Packets from one socket to another on loopback keep their order, so the first answer is this one's.
	request := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	if response, _ := exchange(t, client, request.Raw); response.TransactionID != request.TransactionID {
		t.Errorf("got %v", response)
	}
}

func TestNoAnswerToPortZero(t *testing.T) {
	var request, response stun.Message
	packet := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
	if answer(packet, netip.MustParseAddrPort("192.0.2.1:0"), &request, &response) {
		t.Error("answered")
	}
}

func TestCloseIsIdempotentAndWaits(t *testing.T) {
	_, s := serve(t, "udp4", "127.0.0.1:0")
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() { s.Close() })
	}
	group.Wait()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(conn); err != nil {
		t.Error(err)
	}
	if _, err := conn.WriteTo(nil, conn.LocalAddr()); err == nil {
		t.Error("the socket stays open")
	}
}

func FuzzAnswer(f *testing.F) {
	for _, packet := range silent() {
		f.Add(packet)
	}
	f.Add(stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewSoftware("x"), stun.Fingerprint).Raw)
	from := netip.MustParseAddrPort("[2001:db8::1]:3478")
	f.Fuzz(func(t *testing.T, packet []byte) {
		var request, response stun.Message
		if !answer(packet, from, &request, &response) {
			return
		}
		if len(response.Raw) > 2*len(packet)+64 {
			t.Fatalf("%d bytes answer %d", len(response.Raw), len(packet))
		}
		again := stun.Message{Raw: response.Raw}
		if err := again.Decode(); err != nil {
			t.Fatal(err)
		}
	})
}
