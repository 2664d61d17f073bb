package swarm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/coder/websocket"

	"github.com/planktos/planktos/internal/signal"
)

// A Release is what a publisher has trackers tell those who are on earlier snapshots of its site.
type Release struct {
	// Snapshot is the new one's id.
	Snapshot [32]byte
	// Root is the signed manifest, byte for byte, or nil. One that is too long for a tracker is not handed over.
	Root []byte
	// Swarms are the info-hashes of the earlier snapshots.
	Swarms [][20]byte
}

// Publish hands a release to a tracker, a ws: or wss: URL, and returns how many peers it tells. A tracker that knows
// nothing of releases refuses, or is silent until ctx ends.
func Publish(ctx context.Context, tracker string, r Release) (told int64, err error) {
	socket, _, err := websocket.Dial(ctx, tracker, nil)
	if err != nil {
		return 0, fmt.Errorf("no connection: %w", err)
	}
	defer socket.CloseNow()
	socket.SetReadLimit(trackerMessage)
	message := signal.Release{Snapshot: r.Snapshot}
	if r.Root != nil {
		message.Root = signal.EncodeRoot(r.Root)
	}
	for swarms := range slices.Chunk(r.Swarms, signal.MaxScrape) {
		message.InfoHashes = nil
		for _, infoHash := range swarms {
			message.InfoHashes = append(message.InfoHashes, infoHash)
		}
		peers, err := publish(ctx, socket, &message)
		if err != nil {
			return told, err
		}
		told += peers
	}
	_ = socket.Close(websocket.StatusNormalClosure, "") // all is said
	return told, nil
}

// publish sends one message and waits for the answer.
func publish(ctx context.Context, socket *websocket.Conn, message *signal.Release) (int64, error) {
	if err := socket.Write(ctx, websocket.MessageText, message.AppendJSON(nil)); err != nil {
		return 0, fmt.Errorf("the connection is lost: %w", err)
	}
	for {
		_, data, err := socket.Read(ctx)
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return 0, errors.New("no answer; it seems to know nothing of releases")
		}
		if err != nil {
			return 0, fmt.Errorf("the connection is lost: %w", err)
		}
		reply, err := signal.DecodeReply(data)
		switch {
		case err != nil:
		case reply.Told != nil:
			return reply.Told.Peers, nil
		case reply.Failure != nil:
			return 0, fmt.Errorf("it refuses: %q", reply.Failure.Reason)
		}
	}
}
