package main

import (
	"image"
	"math"
	"math/rand/v2"
)

// side is the width and height of a picture in pixels.
const side = 880

// A shade is light at one point of the slide: red, green and blue, from 0 up; what exceeds 1 burns out.
type shade struct{ r, g, b float64 }

func (s shade) plus(o shade) shade       { return shade{s.r + o.r, s.g + o.g, s.b + o.b} }
func (s shade) times(k float64) shade    { return shade{s.r * k, s.g * k, s.b * k} }
func mix(a, b shade, t float64) shade    { return a.times(1 - t).plus(b.times(t)) }
func clamp(x, low, high float64) float64 { return math.Min(math.Max(x, low), high) }

// smooth is the cubic step from 0 at a to 1 at b.
func smooth(a, b, x float64) float64 {
	t := clamp((x-a)/(b-a), 0, 1)
	return t * t * (3 - 2*t)
}

// glow is a soft line at distance 0 of the given half-width.
func glow(distance, width float64) float64 { return math.Exp(-(distance * distance) / (width * width)) }

// A specimen is one organism under the microscope. The organism says how it shines at a point of the slide, whose
// coordinates run from -1 to 1.
type specimen struct {
	name     string
	seed     uint64
	water    shade
	organism func(*rand.Rand) func(x, y float64) shade
}

// paint renders a specimen as seen in dark field: bright on dark water, with drifting motes out of focus.
func paint(s specimen) image.Image {
	random := rand.New(rand.NewPCG(s.seed, 0x9e3779b97f4a7c15))
	organism := s.organism(random)
	motes := scatter(random, 26)
	tilt := random.Float64() * 2 * math.Pi
	sin, cos := math.Sincos(tilt)
	picture := image.NewRGBA(image.Rect(0, 0, side, side))
	for py := range side {
		for px := range side {
			var light shade
			// Four samples a pixel smooth the edges.
			for _, d := range [4][2]float64{{.25, .25}, {.75, .25}, {.25, .75}, {.75, .75}} {
				x := (float64(px)+d[0])/side*2 - 1
				y := (float64(py)+d[1])/side*2 - 1
				light = light.plus(organism(x*cos-y*sin, x*sin+y*cos))
			}
			light = light.times(.25)
			x, y := float64(px)/side*2-1, float64(py)/side*2-1
			depth := clamp(1.15-.75*math.Hypot(x, y+.2), .18, 1)
			light = light.plus(s.water.times(depth))
			for _, m := range motes {
				light = light.plus(m.at(x, y))
			}
			at := picture.PixOffset(px, py)
			picture.Pix[at], picture.Pix[at+1], picture.Pix[at+2] = tone(light.r), tone(light.g), tone(light.b)
			picture.Pix[at+3] = 255
		}
	}
	return picture
}

// tone maps light to a byte, rolling off the highlights.
func tone(x float64) uint8 {
	return uint8(255 * math.Pow(1-math.Exp(-1.6*math.Max(x, 0)), .85))
}

// A mote is a particle out of focus: a faint disc with a brighter rim.
type mote struct {
	x, y, radius, light float64
	colour              shade
}

func scatter(random *rand.Rand, n int) []mote {
	motes := make([]mote, n)
	for i := range motes {
		motes[i] = mote{
			x: random.Float64()*2 - 1, y: random.Float64()*2 - 1,
			radius: .008 + .05*math.Pow(random.Float64(), 3), light: .05 + .16*random.Float64(),
			colour: mix(shade{.4, .8, 1}, shade{.9, .9, .6}, random.Float64()),
		}
	}
	return motes
}

func (m mote) at(x, y float64) shade {
	dx, dy := x-m.x, y-m.y
	if dx*dx+dy*dy > 4*m.radius*m.radius {
		return shade{}
	}
	r := math.Hypot(dx, dy) / m.radius
	return m.colour.times(m.light * (smooth(1.1, .9, r)*.5 + .6*glow(r-.95, .12)))
}
