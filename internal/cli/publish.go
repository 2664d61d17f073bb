package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/planktos/planktos"
	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/seeder"
	"github.com/planktos/planktos/internal/swarm"
	"github.com/planktos/planktos/internal/torrent"
)

type publishCommand struct {
	Dir     string        `arg:"" optional:"" help:"The packed site's root. Default: the current directory."`
	Tracker []string      `sep:"none" placeholder:"URL" help:"Tracker to tell, wss://HOST/. Repeatable. Default: those of the site's manifest."`
	Timeout time.Duration `default:"10s" placeholder:"TIME" help:"How long a tracker may take. Default: ${default}."`
	JSON    bool          `help:"Print what was done as JSON."`
}

// Help is shown by `planktos publish --help`.
func (publishCommand) Help() string {
	return `Publish tells visitors who have the site open that there is a new release, after you have uploaded it. The trackers pass it
on to everybody who is on a release that planktos/ still knows of (pack --keep). Visitors of a signed site get the new
manifest with it; others look at your server, not all at once. Without it they notice on their next navigation, or
within a quarter of an hour.

  planktos publish                             tell the trackers of the packed site in the current directory
  planktos publish site/ --tracker wss://t.example/
  planktos -r site --inject && rsync -r site/ host:/var/www/ && planktos publish site

Only trackers of Planktos know how (planktos tracker). It fails if none of them does. planktos serve needs it not.`
}

// A told is what came of telling one tracker.
type told struct {
	URL   string `json:"url"`
	Peers int64  `json:"peers"`
	Error string `json:"error,omitempty"`
}

// publication is what publish did.
type publication struct {
	Root       string `json:"root"`
	Snapshot   string `json:"snapshot"` // empty if Planktos is disabled
	Signed     bool   `json:"signed"`
	Superseded int    `json:"superseded"`
	Peers      int64  `json:"peers"`
	Trackers   []told `json:"trackers"`
}

// Run tells the trackers.
func (c *publishCommand) Run(p *program) error {
	if c.Dir == "" {
		c.Dir = "."
	}
	root, err := openRoot(c.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	news, trackers, err := p.newRelease(release.Dir(root))
	if err != nil {
		return err
	}
	if c.Tracker != nil {
		trackers = c.Tracker
	}
	if trackers, err = p.reachable(trackers); err != nil {
		return err
	}
	done := publication{Root: c.Dir, Signed: news.Root != nil, Superseded: len(news.Swarms), Trackers: []told{}}
	about := "that Planktos is disabled"
	if news.Snapshot != [32]byte{} {
		done.Snapshot = hex.EncodeToString(news.Snapshot[:])
		about = "of snapshot " + done.Snapshot[:12]
	}
	if len(news.Swarms) == 0 {
		p.note("no earlier release is known in %s, so there is nobody to tell; pack --previous reads one that is published",
			c.Dir)
	} else {
		done.Trackers = c.tell(p.ctx, trackers, news)
	}
	reached := len(news.Swarms) == 0
	for _, t := range done.Trackers {
		if t.Error == "" {
			reached = true
		} else {
			p.note("%s: %s", t.URL, t.Error)
		}
		done.Peers += t.Peers
	}
	switch {
	case p.ctx.Err() != nil:
		return p.ctx.Err()
	case !reached:
		return hint(errors.New("no tracker was told of the release"),
			"only trackers of Planktos know how, see planktos tracker --help; visitors notice by themselves, but later")
	case c.JSON:
		return printJSON(p.stdout, done)
	}
	for _, t := range done.Trackers {
		if t.Error == "" {
			fmt.Fprintf(p.stdout, "%s  tells %s %s\n", t.URL, plural(int(t.Peers), "peer"), about)
		}
	}
	return nil
}

// newRelease reads what is published in a folder, whom it is news to, and which trackers visitors meet at.
func (p *program) newRelease(src release.Source) (news swarm.Release, trackers []string, err error) {
	name := release.ManifestFile
	document, err := release.ReadFile(p.ctx, src, name, manifest.MaxBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return news, nil, ofPacked(fmt.Errorf("%s: %w", src.Where(name), planktos.ErrNotPacked))
	}
	if err != nil {
		return news, nil, err
	}
	if manifest.Disabled(document) {
		// Which release was the last, the manifest does not say.
		meta, err := p.readTorrent(src)
		if err != nil {
			return news, nil, err
		}
		news.Swarms, trackers = [][20]byte{meta.InfoHash}, meta.Trackers
	} else {
		published, err := seeder.Parse(document, src.Where(name))
		if err != nil {
			return news, nil, err
		}
		if published.Policy.Mode == "off" {
			return news, nil, fmt.Errorf("%s: %w", src.Where(name), seeder.ErrOff)
		}
		news.Snapshot, trackers = published.Snapshot, published.Trackers
	}
	if _, err := manifest.Claimed(document); err == nil {
		if err := p.believable(src, document); err != nil {
			p.note("%s; visitors are told to look at your server", plain(err))
		} else {
			news.Root = document
		}
	}
	superseded, err := release.Superseded(p.ctx, src)
	if err != nil {
		return news, nil, err
	}
	for _, id := range superseded {
		name := release.SnapshotFile(id)
		document, err := release.ReadFile(p.ctx, src, name, manifest.MaxBytes)
		var old *manifest.Root
		if err == nil {
			old, err = seeder.Parse(document, src.Where(name))
		}
		if err != nil {
			p.note("%s; its visitors are not told", plain(err))
			continue
		}
		// Snapshots that differ by names alone have one torrent.
		if !slices.Contains(news.Swarms, old.Torrent.InfoHash) {
			news.Swarms = append(news.Swarms, old.Torrent.InfoHash)
		}
	}
	return news, trackers, nil
}

// believable tells whether a signed manifest is by the key that visitors have from the worker's script. Who is handed one
// that is not does not even look at the server.
func (p *program) believable(src release.Source, document []byte) error {
	script, err := release.ReadFile(p.ctx, src, release.WorkerFile, release.MaxWorker)
	if err != nil {
		return err
	}
	if _, err := manifest.Verify(document, release.KeyOf(script)); err != nil {
		return fmt.Errorf("%s: not signed by the key in %s", src.Where(release.ManifestFile), release.WorkerFile)
	}
	return nil
}

// maxTorrent is how much of a torrent is read, in bytes.
const maxTorrent = 64 << 20

func (p *program) readTorrent(src release.Source) (*torrent.Metainfo, error) {
	const name = "planktos/root.torrent"
	data, err := release.ReadFile(p.ctx, src, name, maxTorrent)
	if err != nil {
		return nil, err
	}
	meta, err := torrent.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", src.Where(name), err)
	}
	return meta, nil
}

// reachable are those trackers whose host is known: of which one a path is only visitors know.
func (p *program) reachable(given []string) (trackers []string, err error) {
	for _, t := range given {
		t, err := planktos.ParseTracker(t)
		switch {
		case err != nil:
			return nil, err
		case strings.HasPrefix(t, "/"):
			p.note("tracker %s is a path, and passed over: give it with its host, as --tracker wss://HOST%s", t, t)
		default:
			trackers = append(trackers, t)
		}
	}
	if len(trackers) == 0 {
		return nil, hint(errors.New("there is no tracker to tell"), "--tracker wss://HOST/ names one")
	}
	return trackers, nil
}

// tell tells all trackers at once.
func (c *publishCommand) tell(ctx context.Context, trackers []string, news swarm.Release) []told {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	all := make([]told, len(trackers))
	var telling sync.WaitGroup
	for i, tracker := range trackers {
		telling.Go(func() {
			all[i].URL = tracker
			var err error
			if all[i].Peers, err = swarm.Publish(ctx, tracker, news); err != nil {
				all[i].Error = err.Error()
			}
		})
	}
	telling.Wait()
	return all
}
