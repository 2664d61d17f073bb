// Command make paints, draws and plays what the example site shows: its pictures, its ornament font and its sound.
//
//	go run ./examples/make examples/site
//
// The output is the same on every machine, so a change of this program shows as a change of the files it made.
package main

import (
	"fmt"
	"image/jpeg"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: make DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "make:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	for i, s := range specimens {
		name := filepath.Join(dir, "pictures", fmt.Sprintf("%02d-%s.jpg", i+1, s.name))
		if err := writePicture(name, s); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "assets", "ornaments.ttf"), ornaments(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "assets", "tide.wav"), tide(), 0o644)
}

func writePicture(name string, s specimen) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := jpeg.Encode(f, paint(s), &jpeg.Options{Quality: 86}); err != nil {
		f.Close()
		return fmt.Errorf("painting %s: %w", name, err)
	}
	return f.Close()
}
