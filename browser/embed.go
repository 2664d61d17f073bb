// Package browser carries the source of the browser runtime, so that one binary is all that packing needs. What the
// source is made into is [github.com/planktos/planktos/internal/bundle]'s business.
package browser

import "embed"

// Source holds the TypeScript under src/, one folder a part: shared, store, worker, engine, page, install.
//
//go:embed src
var Source embed.FS
