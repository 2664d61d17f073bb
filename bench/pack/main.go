// Command pack measures how long packing takes: a site of 3,000 pages and 200 MB for the first time, again when nothing
// has changed, when one page in a hundred has, and with every file read. Beside it stands hashing alone: SHA-1 and
// SHA-256 over every byte, on one goroutine.
//
//	make bench-pack
package main

import (
	"cmp"
	"crypto/sha1"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

const (
	pages     = 3000
	totalSize = 200_000_000
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("pack: ")
	program := flag.String("program", os.Getenv("PLANKTOS_BIN"), "the planktos binary")
	rounds := flag.Int("rounds", 3, "how often; medians are printed")
	flag.Parse()
	if err := run(*program, *rounds); err != nil {
		log.Fatal(err)
	}
}

// cost is what one run took.
type cost struct{ wall, cpu time.Duration }

func run(program string, rounds int) error {
	work, err := os.MkdirTemp("", "planktos-bench-pack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	site := filepath.Join(work, "site")
	names, err := makeSite(site)
	if err != nil {
		return err
	}
	pack := func(args ...string) (cost, error) {
		cmd := exec.Command(program, append([]string{"-r", site, "--tracker", "none", "--ice", "none"}, args...)...)
		// A cache of its own, which the benchmark leaves nothing of.
		cmd.Env = append(os.Environ(), "HOME="+work, "XDG_CACHE_HOME="+filepath.Join(work, "cache"))
		cmd.Stderr = os.Stderr
		began := time.Now()
		err := cmd.Run()
		return cost{time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, err
	}
	steps := []struct {
		name   string
		before func() error
		run    func() (cost, error)
	}{
		{"hashing alone", nil, func() (cost, error) { return hashAlone(names) }},
		{"first pack", func() error { return unpack(work, site) }, func() (cost, error) { return pack() }},
		{"second pack, nothing changed", nil, func() (cost, error) { return pack() }},
		{"third pack, 1 % of pages changed", func() error { return change(names) },
			func() (cost, error) { return pack() }},
		{"--rehash", nil, func() (cost, error) { return pack("--rehash") }},
	}
	costs := make([][]cost, len(steps))
	for range rounds {
		for i, step := range steps {
			if step.before != nil {
				if err := step.before(); err != nil {
					return err
				}
			}
			took, err := step.run()
			if err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
			costs[i] = append(costs[i], took)
		}
	}
	fmt.Printf("%d pages, %d MB, medians of %d\n", pages, totalSize/1_000_000, rounds)
	fmt.Printf("%-34s %8s %8s\n", "", "wall, s", "CPU, s")
	for i, step := range steps {
		fmt.Printf("%-34s %8.2f %8.2f\n", step.name,
			median(costs[i], func(c cost) time.Duration { return c.wall }),
			median(costs[i], func(c cost) time.Duration { return c.cpu }))
	}
	return nil
}

// median is in seconds.
func median(costs []cost, of func(cost) time.Duration) float64 {
	sorted := slices.SortedFunc(slices.Values(costs), func(a, b cost) int { return cmp.Compare(of(a), of(b)) })
	return of(sorted[len(sorted)/2]).Seconds()
}

// makeSite writes pages of text, each with a picture of random bytes beside it; a third of the bytes are text.
func makeSite(site string) (names []string, err error) {
	random := rand.NewChaCha8([32]byte{1})
	for i := range pages {
		folder := filepath.Join(site, "section-"+strconv.Itoa(i/100))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
		picture := make([]byte, totalSize/pages*2/3)
		random.Read(picture)
		page := fmt.Appendf(nil, "<!doctype html><title>%d</title><img src=picture-%d.jpg>", i, i)
		for len(page) < totalSize/pages/3 {
			page = fmt.Appendf(page, "<p>%x</p>\n", random.Uint64())
		}
		for name, data := range map[string][]byte{
			"page-" + strconv.Itoa(i) + ".html": page, "picture-" + strconv.Itoa(i) + ".jpg": picture,
		} {
			name = filepath.Join(folder, name)
			if err := os.WriteFile(name, data, 0o644); err != nil {
				return nil, err
			}
			names = append(names, name)
		}
	}
	return names, nil
}

// unpack makes the next pack the first.
func unpack(work, site string) error {
	for _, name := range []string{filepath.Join(site, "planktos"), filepath.Join(work, "cache")} {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}

// change edits every hundredth page.
func change(names []string) error {
	edited := 0
	for _, name := range names {
		if filepath.Ext(name) != ".html" {
			continue
		}
		if edited++; edited%100 != 0 {
			continue
		}
		f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		if _, err = fmt.Fprintf(f, "<p>%d</p>\n", time.Now().UnixNano()); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// hashAlone reads and hashes what packing has to, in this process.
func hashAlone(names []string) (cost, error) {
	began := time.Now()
	v1, v2, buf := sha1.New(), sha256.New(), make([]byte, 16<<10)
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return cost{}, err
		}
		_, err = io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(v1, v2)}, struct{ io.Reader }{f}, buf)
		f.Close()
		if err != nil {
			return cost{}, err
		}
	}
	// One goroutine that never waits: as much CPU as time.
	return cost{time.Since(began), time.Since(began)}, nil
}
