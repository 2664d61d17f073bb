package swarm

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"

	"github.com/planktos/planktos/internal/manifest"
)

// How long a description waits for its candidates, which it carries, since trackers pass on one message each way.
const (
	// gatherTime ends all gathering.
	gatherTime = 4 * time.Second
	// gatherRemotes is for STUN and TURN servers, which may be out of reach, once there is a local address. Where there
	// are none, gathering ends with the last local address.
	gatherRemotes = 500 * time.Millisecond
	// gatherMore is for the others of them, once one has told an address.
	gatherMore = 100 * time.Millisecond
)

// certificateTime is how long a DTLS certificate is used. Those that pion makes last for a month.
const certificateTime = 24 * time.Hour

var errNoDescription = errors.New("swarm: no description of a data channel")

// A transport makes WebRTC connections.
type transport struct {
	api *webrtc.API

	mu           sync.Mutex
	certificates []webrtc.Certificate
	renewed      time.Time
}

func newTransport() (*transport, error) {
	network, err := newNetwork()
	if err != nil {
		return nil, fmt.Errorf("listing network interfaces: %w", err)
	}
	var e webrtc.SettingEngine
	e.SetNet(network)
	e.SetIPFilter(reachable)
	e.DetachDataChannels()
	e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	// A browser that hides its address behind a name of the local network (mDNS) finds ours, so that we need not look
	// for its.
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	e.SetIncludeLoopbackCandidate(!networked())
	e.DisableMediaEngineCopy(true)
	e.LoggerFactory = quietLog{}
	// There is no media: what would look after it takes goroutines, timers and memory for every connection.
	return &transport{api: webrtc.NewAPI(
		webrtc.WithSettingEngine(e),
		webrtc.WithMediaEngine(&webrtc.MediaEngine{}),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{}),
	)}, nil
}

// certificate gives the one that connections share for a day: making one costs as much as a connection.
func (t *transport) certificate() ([]webrtc.Certificate, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.renewed) < certificateTime {
		return t.certificates, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, err
	}
	t.certificates, t.renewed = []webrtc.Certificate{*certificate}, time.Now()
	return t.certificates, nil
}

// connect makes a connection's local end.
func (t *transport) connect(servers []manifest.ICEServer) (*webrtc.PeerConnection, error) {
	certificates, err := t.certificate()
	if err != nil {
		return nil, err
	}
	configuration := webrtc.Configuration{Certificates: certificates}
	for _, server := range servers {
		configuration.ICEServers = append(configuration.ICEServers, webrtc.ICEServer{
			URLs: server.URLs, Username: server.Username, Credential: server.Credential,
		})
	}
	return t.api.NewPeerConnection(configuration)
}

// describe makes a connection's offer, or its answer to an offer that is not empty, with candidates.
func describe(ctx context.Context, pc *webrtc.PeerConnection, offer string) (string, error) {
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	var first sync.Once
	pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		switch {
		case c == nil:
			timer.Reset(0)
		case c.Typ != webrtc.ICECandidateTypeHost:
			timer.Reset(gatherMore)
		default:
			first.Do(func() { timer.Reset(gatherRemotes) })
		}
	})
	var description webrtc.SessionDescription
	var err error
	if offer == "" {
		description, err = pc.CreateOffer(nil)
	} else {
		err = pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer})
		if err == nil {
			description, err = pc.CreateAnswer(nil)
		}
	}
	if err == nil {
		err = pc.SetLocalDescription(description)
	}
	if err != nil {
		return "", err
	}
	select {
	case <-timer.C:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	local := pc.LocalDescription()
	if local == nil {
		return "", errNoDescription
	}
	sdp, ok := trimSDP(local.SDP)
	if !ok || !strings.Contains(sdp, "\na=candidate") {
		return "", errNoDescription // without an address nobody would find us
	}
	return sdp, nil
}

// opening has opened called with the channel of a connection when that is open: one that we make, or the first one that
// comes.
func opening(pc *webrtc.PeerConnection, label string, ours bool, opened func(*webrtc.DataChannel)) error {
	if !ours {
		var first sync.Once
		pc.OnDataChannel(func(dc *webrtc.DataChannel) {
			first.Do(func() { dc.OnOpen(func() { opened(dc) }) })
		})
		return nil
	}
	dc, err := pc.CreateDataChannel(label, nil)
	if err == nil {
		dc.OnOpen(func() { opened(dc) })
	}
	return err
}

// A dataChannel is pion's, as a channel.
type dataChannel struct {
	readWriter interface {
		Read([]byte) (int, error)
		Write([]byte) (int, error)
	}
	dc    *webrtc.DataChannel
	low   chan struct{}
	close func()
}

// detach takes a channel that has just opened. end ends its connection.
func detach(dc *webrtc.DataChannel, end func()) (*dataChannel, error) {
	raw, err := dc.Detach()
	if err != nil {
		return nil, err
	}
	ch := &dataChannel{readWriter: raw, dc: dc, low: make(chan struct{}, 1), close: end}
	dc.OnBufferedAmountLow(func() {
		select {
		case ch.low <- struct{}{}:
		default:
		}
	})
	return ch, nil
}

func (c *dataChannel) Read(p []byte) (int, error)  { return c.readWriter.Read(p) }
func (c *dataChannel) Write(p []byte) (int, error) { return c.readWriter.Write(p) }
func (c *dataChannel) Buffered() int               { return int(c.dc.BufferedAmount()) }
func (c *dataChannel) NotifyAt(n int)              { c.dc.SetBufferedAmountLowThreshold(uint64(n)) }
func (c *dataChannel) Low() <-chan struct{}        { return c.low }

func (c *dataChannel) Close() error {
	c.close()
	return nil
}

// quietLog keeps what pion has to say from standard output: what matters of it comes as errors and states.
type quietLog struct{}

func (quietLog) NewLogger(string) logging.LeveledLogger { return quietLog{} }
func (quietLog) Trace(string)                           {}
func (quietLog) Tracef(string, ...any)                  {}
func (quietLog) Debug(string)                           {}
func (quietLog) Debugf(string, ...any)                  {}
func (quietLog) Info(string)                            {}
func (quietLog) Infof(string, ...any)                   {}
func (quietLog) Warn(string)                            {}
func (quietLog) Warnf(string, ...any)                   {}
func (quietLog) Error(string)                           {}
func (quietLog) Errorf(string, ...any)                  {}
