// Package mediatype gives a file's Content-Type from its name, by one table that does not depend on the machine:
// what packs a site and what serves it agree, and browsers are told by the manifest.
//
// The types are those of the IANA registry and, where browsers need more, of the WHATWG MIME Sniffing standard.
package mediatype

import (
	"path"
	"regexp"
	"strings"
)

// Default is the type of files whose extension is not in the table.
const Default = "application/octet-stream"

// table holds a type and its extensions a line; text types are UTF-8.
const table = `
application/atom+xml atom
application/epub+zip epub
application/geo+json geojson
application/gzip gz tgz
application/json json map topojson
application/ld+json jsonld
application/manifest+json webmanifest
application/pdf pdf
application/rss+xml rss
application/vnd.apple.mpegurl m3u8
application/wasm wasm
application/x-tar tar
application/xhtml+xml xhtml xht
application/xml xml xsl xslt
application/zip zip
audio/aac aac
audio/flac flac
audio/mp4 m4a
audio/mpeg mp3
audio/ogg ogg oga opus
audio/wav wav
audio/webm weba
font/otf otf
font/ttf ttf
font/woff woff
font/woff2 woff2
image/apng apng
image/avif avif
image/bmp bmp
image/gif gif
image/jpeg jpg jpeg jfif
image/jxl jxl
image/png png
image/svg+xml svg
image/tiff tif tiff
image/webp webp
image/x-icon ico cur
model/gltf+json gltf
model/gltf-binary glb
text/calendar ics
text/css css
text/csv csv
text/html html htm
text/javascript js mjs cjs
text/markdown md markdown
text/plain txt text log
text/vtt vtt
video/mp2t ts m2ts
video/mp4 mp4 m4v
video/mpeg mpeg mpg
video/ogg ogv
video/quicktime mov
video/webm webm
video/x-matroska mkv`

var byExtension = func() map[string]string {
	types := map[string]string{}
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		for i, extension := range fields {
			if i > 0 {
				types[extension] = fields[0]
			}
		}
	}
	return types
}()

// Extension gives what follows the last dot in the last segment of a path, in lower case.
func Extension(name string) string { return strings.ToLower(strings.TrimPrefix(path.Ext(name), ".")) }

// Of gives the Content-Type of a file by the extension of its name, whatever its case.
func Of(name string) string {
	mediaType, ok := byExtension[Extension(name)]
	switch {
	case !ok:
		return Default
	case strings.HasPrefix(mediaType, "text/"):
		return mediaType + "; charset=utf-8"
	}
	return mediaType
}

var compressible = regexp.MustCompile(`^(text/|font/[ot]tf|image/(bmp|x-icon)|application/(json|xml|wasm|x-tar)|[^;]*\+(json|xml))`)

// Compressible tells whether content of this Content-Type becomes notably smaller by compression: text, and formats that
// are not compressed themselves.
func Compressible(mediaType string) bool { return compressible.MatchString(mediaType) }
