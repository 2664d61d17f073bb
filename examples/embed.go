// Package examples holds the example site and the demo's outer page, embedded so that `planktos demo` needs no files.
// The pictures, the font and the sound in site/ are made by the program in make/.
package examples

import (
	"embed"
	"io/fs"
)

//go:embed site demo
var files embed.FS

// Site is the example site, a folder of static files like any other.
func Site() fs.FS { return sub("site") }

// Demo is the page around the demo's visitors.
func Demo() fs.FS { return sub("demo") }

func sub(dir string) fs.FS {
	tree, err := fs.Sub(files, dir)
	if err != nil {
		panic("examples: " + err.Error()) // the name is a constant of this file
	}
	return tree
}
