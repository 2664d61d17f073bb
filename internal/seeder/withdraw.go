package seeder

import (
	"context"
	"errors"
	"time"

	"github.com/planktos/planktos/internal/manifest"
)

// goodbyeTime is how long peers have to ask for the manifest that has us leave.
const goodbyeTime = 2 * time.Second

// isWithdrawn tells whether an error says that nobody is to share the site.
func isWithdrawn(err error) bool {
	return errors.Is(err, ErrOff) || errors.Is(err, manifest.ErrDisabled)
}

// withdraw leaves the swarms of a site that is not to be shared any more, as its manifest has it, and notes that for the
// next run. Where a run begins so, why is its end.
func (f *Follower) withdraw(ctx context.Context, document []byte, why error) error {
	first := f.document == nil
	disabled := errors.Is(why, manifest.ErrDisabled)
	f.raise(document)
	f.keep(document)
	if first && (!disabled || f.Disabled == nil) {
		return why
	}
	f.depart(ctx, document)
	if !disabled {
		f.log.Warn("the site's policy is now that nobody shares: left its swarms")
		return nil
	}
	f.log.Warn("the site has disabled Planktos: left its swarms")
	if f.Disabled != nil {
		f.Disabled(document)
	}
	return nil
}

// depart leaves the site's swarms because of a manifest.
func (f *Follower) depart(ctx context.Context, document []byte) {
	f.document = document
	f.sayGoodbye(ctx)
	f.leave()
}

// sayGoodbye hands peers the manifest that has us leave, if it is signed: they may not hear of it from anybody else.
func (f *Follower) sayGoodbye(ctx context.Context) {
	if _, err := manifest.Claimed(f.document); err != nil || f.current == nil || f.current.Swarm.Stats().Peers == 0 {
		return
	}
	f.tell()
	timer := time.NewTimer(goodbyeTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (f *Follower) leave() {
	for _, s := range []*Snapshot{f.current, f.previous} {
		if s != nil {
			s.Swarm.Close()
		}
	}
	f.current, f.previous = nil, nil
}
