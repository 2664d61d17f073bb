package main

import (
	"encoding/binary"
	"math"
	"slices"
)

// unitsPerEm is the font's design grid.
const unitsPerEm = 1000

// A contour is a closed polygon on the design grid. Outer contours run clockwise, holes counter-clockwise.
type contour []struct{ x, y int16 }

// ornaments is a small TrueType font whose letters a to e are organisms, for headings and dividers.
// Tables as in the OpenType specification: https://learn.microsoft.com/typography/opentype/spec/
func ornaments() []byte {
	glyphs := [][]contour{
		{ring(500, 350, 330, 330, 4, true)}, // .notdef
		nil,                                 // space
		{ring(500, 350, 330, 330, 48, true), ring(500, 350, 250, 250, 48, false), ring(500, 350, 110, 110, 32, true)}, // a: a centric diatom
		{burst(500, 350, 400, 120, 12)},                                                                              // b: a radiolarian
		{ring(500, 350, 430, 120, 48, true), ring(500, 350, 360, 60, 48, false)},                                     // c: a pennate diatom
		{burst(500, 350, 400, 40, 6), ring(500, 350, 110, 110, 24, true)},                                            // d: a star colony
		{ring(270, 350, 130, 130, 32, true), ring(560, 350, 150, 150, 32, true), ring(850, 350, 110, 110, 32, true)}, // e: a chain
	}
	var glyf, loca, hmtx []byte
	for _, contours := range glyphs {
		loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
		glyf = append(glyf, outline(contours)...)
		hmtx = be(hmtx, 1000, 0)
	}
	loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
	n := len(glyphs)
	head := be(nil, 1, 0, 1, 0, 0, 0, 0x5f0f, 0x3cf5, 0, unitsPerEm, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1000, 1000, 0, 8, 2, 1, 0)
	hhea := be(nil, 1, 0, 800, -200, 0, 1000, 0, 0, 1000, 1, 0, 0, 0, 0, 0, 0, 0, n)
	maxp := be(nil, 1, 0, n, 64, 4, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)
	os2 := be(nil, 4, 1000, 400, 5, 0, 650, 600, 0, 75, 650, 600, 0, 350, 50, 300, 0)
	os2 = append(os2, make([]byte, 10)...)                                                // panose
	os2 = be(os2, 0, 0, 0, 0, 0, 0, 0, 0)                                                 // Unicode ranges
	os2 = append(os2, "PLKT"...)                                                          // vendor
	os2 = be(os2, 0x40, 'a', 'e', 800, -200, 0, 800, 200, 0, 0, 0, 0, 500, 700, 0, 32, 1) // selection … max context
	post := be(nil, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	return sfnt(map[string][]byte{
		"OS/2": os2, "cmap": cmap(), "glyf": glyf, "head": head, "hhea": hhea, "hmtx": hmtx, "loca": loca,
		"maxp": maxp, "name": names("Planktos Ornaments"), "post": post,
	})
}

// ring is an ellipse as a polygon of n corners.
func ring(cx, cy, rx, ry float64, n int, outer bool) contour {
	c := make(contour, n)
	for i := range c {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / float64(n))
		c[i].x, c[i].y = int16(cx+rx*cos), int16(cy-ry*sin)
	}
	if !outer {
		slices.Reverse(c)
	}
	return c
}

// burst is a star of n rays.
func burst(cx, cy, long, short float64, n int) contour {
	c := make(contour, 2*n)
	for i := range c {
		r := long
		if i%2 == 1 {
			r = short
		}
		sin, cos := math.Sincos(math.Pi * float64(i) / float64(n))
		c[i].x, c[i].y = int16(cx+r*cos), int16(cy-r*sin)
	}
	return c
}

// outline encodes a simple glyph: every point on the curve, coordinates as 16-bit differences.
func outline(contours []contour) []byte {
	if contours == nil {
		return nil
	}
	var ends, flags, xs, ys []byte
	var points, px, py int16
	low, high := [2]int16{math.MaxInt16, math.MaxInt16}, [2]int16{math.MinInt16, math.MinInt16}
	for _, c := range contours {
		for _, p := range c {
			flags = append(flags, 1)
			xs, ys = be(xs, int(p.x-px)), be(ys, int(p.y-py))
			px, py = p.x, p.y
			low[0], low[1] = min(low[0], p.x), min(low[1], p.y)
			high[0], high[1] = max(high[0], p.x), max(high[1], p.y)
		}
		points += int16(len(c))
		ends = be(ends, int(points-1))
	}
	g := be(nil, len(contours), int(low[0]), int(low[1]), int(high[0]), int(high[1]))
	g = append(g, ends...)
	g = be(g, 0)
	g = slices.Concat(g, flags, xs, ys)
	return append(g, make([]byte, -len(g)&3)...)
}

// cmap maps space and the letters a to e to glyphs 1 and 2 to 6, in a format 4 subtable.
func cmap() []byte {
	sub := be(nil, 4, 40, 0, 6, 4, 1, 2, ' ', 'e', 0xffff, 0, ' ', 'a', 0xffff, 1-' ', 2-'a', 1, 0, 0, 0)
	return append(be(nil, 0, 1, 3, 1, 0, 12), sub...)
}

// names is a name table with family, subfamily, full name and PostScript name.
func names(family string) []byte {
	records := []struct {
		id   int
		text string
	}{{1, family}, {2, "Regular"}, {4, family}, {6, "PlanktosOrnaments"}}
	table, text := be(nil, 0, len(records), 6+12*len(records)), []byte(nil)
	for _, r := range records {
		table = be(table, 3, 1, 0x409, r.id, 2*len(r.text), len(text))
		for _, c := range r.text {
			text = be(text, int(c))
		}
	}
	return append(table, text...)
}

// sfnt assembles the tables: directory, then tables in order of tag, padded to four bytes, checksums filled in.
func sfnt(tables map[string][]byte) []byte {
	tags := make([]string, 0, len(tables))
	for tag := range tables {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	power := int(math.Log2(float64(len(tags))))
	file := be(nil, 1, 0, len(tags), 16<<power, power, 16*len(tags)-16<<power)
	offset, headAt := 12+16*len(tags), 0
	var body []byte
	for _, tag := range tags {
		data := tables[tag]
		padded := append(slices.Clone(data), make([]byte, -len(data)&3)...)
		file = append(file, tag...)
		file = binary.BigEndian.AppendUint32(file, checksum(padded))
		file = binary.BigEndian.AppendUint32(file, uint32(offset+len(body)))
		file = binary.BigEndian.AppendUint32(file, uint32(len(data)))
		if tag == "head" {
			headAt = offset + len(body)
		}
		body = append(body, padded...)
	}
	file = append(file, body...)
	binary.BigEndian.PutUint32(file[headAt+8:], 0xb1b0afba-checksum(file))
	return file
}

func checksum(data []byte) (sum uint32) {
	for i := 0; i < len(data); i += 4 {
		sum += binary.BigEndian.Uint32(data[i:])
	}
	return sum
}

// be appends 16-bit big-endian numbers.
func be(to []byte, numbers ...int) []byte {
	for _, n := range numbers {
		to = binary.BigEndian.AppendUint16(to, uint16(n))
	}
	return to
}
