package tracker

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"

	"github.com/gobwas/ws"
)

// FuzzConnection feeds a connection with bytes instead of frames. Whatever they are, the tracker must answer with
// frames, end, and forget all of it.
func FuzzConnection(f *testing.F) {
	masked := func(frame ws.Frame) []byte { return ws.MustCompileFrame(ws.MaskFrameWith(frame, [4]byte{})) }
	f.Add(bytes.Join([][]byte{
		masked(text(announcement(7, 1, 2))), masked(ws.NewPingFrame(nil)), masked(text(announcement(7, 2, 2))),
		masked(ws.NewCloseFrame(nil)),
	}, nil))
	f.Add(bytes.Join([][]byte{
		masked(text([]byte(`{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":"bbbbbbbbbbbbbbbbbbbb",` +
			`"pk_release":true}`))),
		masked(text([]byte(`{"action":"release","info_hash":["aaaaaaaaaaaaaaaaaaaa"],"snapshot":null,"root":"{}"}`))),
	}, nil))
	f.Add([]byte{0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			tracker := &Tracker{MaxMessageBytes: 4096}
			p := connectPipe(t, tracker)
			go func() {
				p.nc.Write(data)
				p.nc.Write(masked(ws.NewCloseFrame(nil))) // may fall into a message and be no frame
				tracker.Close()
			}()
			for {
				frame, err := readFrame(p.in)
				if err == io.EOF {
					break
				}
				if err != nil || frame.Header.Masked || frame.Header.Rsv != 0 {
					t.Fatalf("%+v, %v", frame.Header, err)
				}
			}
			tracker.Close()
			if s := tracker.Stats(); s.Conns != 0 || s.Peers != 0 || s.Swarms != 0 {
				t.Fatalf("left over: %+v", s)
			}
		})
	})
}
