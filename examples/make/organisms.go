package main

import (
	"math"
	"math/rand/v2"
)

var (
	deep   = shade{.010, .030, .070}
	teal   = shade{.008, .050, .060}
	violet = shade{.030, .016, .066}
	dusk   = shade{.050, .022, .040}
)

// specimens are the site's pictures, in the order of the gallery.
var specimens = []specimen{
	{"coscinodiscus", 11, deep, centric(26, 9, shade{1, .78, .35}, shade{.35, .8, .9})},
	{"acanthometra", 12, violet, radiolarian(20, shade{.95, .55, .8}, shade{.5, .6, 1})},
	{"volvox", 13, teal, volvox(shade{.35, .95, .35}, 7)},
	{"navicula", 14, teal, pennate(.30, shade{.95, .85, .4}, shade{.4, .9, .7})},
	{"asterionella", 15, deep, star(8, shade{1, .8, .45})},
	{"globigerina", 16, dusk, spiral(11, shade{1, .72, .5})},
	{"arachnoidiscus", 17, violet, centric(34, 6, shade{.6, .85, 1}, shade{1, .55, .7})},
	{"chaetoceros", 18, deep, chain(7, shade{.55, .95, .6})},
	{"hexacontium", 19, deep, radiolarian(12, shade{.45, .9, .95}, shade{.95, .9, .6})},
	{"pleodorina", 20, dusk, volvox(shade{.6, .9, .3}, 4)},
	{"pinnularia", 21, violet, pennate(.22, shade{.5, .85, 1}, shade{.9, .6, 1})},
	{"thalassionema", 22, teal, star(5, shade{.6, 1, .8})},
	{"turborotalia", 23, deep, spiral(9, shade{.8, .85, 1})},
	{"actinoptychus", 24, teal, centric(12, 11, shade{.55, 1, .75}, shade{1, .9, .4})},
	{"skeletonema", 25, violet, chain(9, shade{1, .75, .45})},
	{"heliosphaera", 26, dusk, radiolarian(16, shade{1, .75, .4}, shade{1, .45, .5})},
	{"gonium", 27, deep, volvox(shade{.3, .9, .75}, 9)},
	{"surirella", 28, dusk, pennate(.42, shade{1, .65, .5}, shade{1, .9, .6})},
	{"tabellaria", 29, violet, star(6, shade{.85, .7, 1})},
	{"orbulina", 30, teal, spiral(13, shade{.6, .95, .85})},
	{"stephanodiscus", 31, dusk, centric(20, 8, shade{1, .6, .45}, shade{.7, .7, 1})},
	{"melosira", 32, teal, chain(6, shade{.95, .9, .5})},
	{"astrolithium", 33, violet, radiolarian(28, shade{.55, 1, .8}, shade{.6, .7, 1})},
	{"eudorina", 34, deep, volvox(shade{.75, .95, .35}, 5)},
}

// centric is a round diatom: a valve with ribs toward the rim and rows of pores.
func centric(ribs, rows int, rim, pores shade) func(*rand.Rand) func(x, y float64) shade {
	return func(random *rand.Rand) func(x, y float64) shade {
		radius := .62 + .1*random.Float64()
		return func(x, y float64) shade {
			r, angle := math.Hypot(x, y)/radius, math.Atan2(y, x)
			if r > 1.3 {
				return shade{}
			}
			inside := smooth(1.01, .97, r)
			edge := glow(r-.985, .02)*1.2 + glow(r-.9, .035)*.35 + .25*glow(r-1, .12)
			rib := math.Pow(.5+.5*math.Cos(angle*float64(ribs)), 6) * smooth(.2, .8, r) * inside
			row := r * float64(rows) * 1.6
			around := math.Max(6, math.Round(float64(ribs)*math.Floor(row)/float64(rows)*1.1))
			dotR := row - math.Floor(row) - .5
			dotA := math.Mod(angle/(2*math.Pi)*around+math.Floor(row)*.5+100, 1) - .5
			dot := glow(math.Hypot(dotR, dotA*1.1), .26) * inside * smooth(.06, .16, r) * smooth(.93, .84, r)
			centre := glow(r, .10) * .9
			body := pores.times(.13 * inside * (1.2 - r))
			return rim.times(edge + .42*rib).plus(pores.times(.75*dot + centre)).plus(body)
		}
	}
}

// radiolarian is a lattice sphere with long spines and a glowing core.
func radiolarian(spines int, shell, core shade) func(*rand.Rand) func(x, y float64) shade {
	return func(random *rand.Rand) func(x, y float64) shade {
		lengths := make([]float64, spines)
		for i := range lengths {
			lengths[i] = .72 + .24*random.Float64()
		}
		const radius = .40
		return func(x, y float64) shade {
			r, angle := math.Hypot(x, y), math.Atan2(y, x)+math.Pi
			turn := angle / (2 * math.Pi) * float64(spines)
			nearest := int(math.Round(turn)) % spines
			side := math.Abs(turn-math.Round(turn)) / float64(spines) * 2 * math.Pi * r
			taper := .012 * clamp(1-(r-radius)/(lengths[nearest]-radius), 0, 1)
			spine := 0.0
			if r > radius*.3 && r < lengths[nearest] {
				spine = glow(side, taper+.002) * (1.1 - .5*r)
			}
			sphere := 0.0
			if r < radius {
				z := math.Sqrt(radius*radius - r*r)
				u, v := math.Asin(y/radius)*7, math.Atan2(x, z)*7
				hex := math.Cos(u*2) + math.Cos(u+v*1.732) + math.Cos(u-v*1.732)
				sphere = smooth(.2, -1.1, hex) * (.45 + .5*z/radius)
			}
			halo := glow(r-radius, .022) + .28*glow(r-radius, .1)
			heart := glow(r, .12)*.9 + glow(r, .24)*.35
			return shell.times(.8*spine + .85*sphere + .55*halo).plus(core.times(heart))
		}
	}
}

// volvox is a transparent colony: a sphere of cells with daughter colonies inside.
func volvox(colour shade, daughters int) func(*rand.Rand) func(x, y float64) shade {
	type ball struct{ x, y, r float64 }
	return func(random *rand.Rand) func(x, y float64) shade {
		var inside []ball
		for tries := 0; len(inside) < daughters && tries < 2000; tries++ {
			b := ball{random.Float64()*1.1 - .55, random.Float64()*1.1 - .55, .07 + .09*random.Float64()}
			fits := math.Hypot(b.x, b.y)+b.r < .6
			for _, o := range inside {
				fits = fits && math.Hypot(b.x-o.x, b.y-o.y) > b.r+o.r+.02
			}
			if fits {
				inside = append(inside, b)
			}
		}
		cells := func(x, y, radius, density float64) float64 {
			r := math.Hypot(x, y)
			if r >= radius {
				return 0
			}
			z := math.Sqrt(radius*radius - r*r)
			u, v := math.Asin(y/radius)*density, math.Atan2(x, z)*density*math.Sqrt(1-y*y/(radius*radius))
			row := math.Floor(u)
			du, dv := u-row-.5, math.Mod(v+.5*row+1000, 1)-.5
			return glow(math.Hypot(du, dv), .23) * (.35 + .65*(1-z/radius))
		}
		return func(x, y float64) shade {
			r := math.Hypot(x, y)
			light := colour.times(.55*cells(x, y, .70, 17) + .5*glow(r-.70, .014) + .2*glow(r-.7, .09))
			light = light.plus(colour.times(.07 * smooth(.72, .6, r)))
			for _, b := range inside {
				dx, dy := x-b.x, y-b.y
				d := math.Hypot(dx, dy)
				if d > b.r*1.8 {
					continue
				}
				warm := mix(colour, shade{.95, .9, .4}, .45)
				light = light.plus(warm.times(.22*smooth(b.r, b.r*.7, d) + .8*cells(dx, dy, b.r, 6) + .55*glow(d-b.r, .012)))
			}
			return light
		}
	}
}

// pennate is a boat-shaped diatom: striae across a raphe.
func pennate(width float64, wall, striae shade) func(*rand.Rand) func(x, y float64) shade {
	return func(random *rand.Rand) func(x, y float64) shade {
		count := 46 + 20*random.Float64()
		bend := .12 * (random.Float64() - .5)
		return func(x, y float64) shade {
			y -= bend * math.Sin(x*3)
			half := width * math.Pow(clamp(1-x*x/.7, 0, 1), .62)
			if half == 0 {
				return shade{}
			}
			across := math.Abs(y) / half
			inside := smooth(1.02, .96, across)
			edge := (glow((across-.97)*half, .011) + .25*glow((across-1)*half, .05)) * smooth(0, .05, half)
			lines := math.Pow(.5+.5*math.Cos(x*count*2+across*1.4), 3) * inside * smooth(.10, .24, across) * smooth(.98, .8, across)
			raphe := glow(y, .006) * inside * smooth(.03, .07, math.Abs(x))
			knot := glow(math.Hypot(x, y), .035)
			plastid := glow(y-half*.5, half*.25) + glow(y+half*.5, half*.25)
			return wall.times(edge + .9*raphe + knot).plus(striae.times(.55*lines + .12*inside*plastid))
		}
	}
}

// star is a colony of needles joined at one end.
func star(arms int, colour shade) func(*rand.Rand) func(x, y float64) shade {
	return func(random *rand.Rand) func(x, y float64) shade {
		type arm struct{ sin, cos, length float64 }
		var all []arm
		for i := range arms {
			angle := 2*math.Pi*float64(i)/float64(arms) + .25*(random.Float64()-.5)
			sin, cos := math.Sincos(angle)
			all = append(all, arm{sin, cos, .66 + .2*random.Float64()})
		}
		return func(x, y float64) shade {
			light := colour.times(.7 * glow(math.Hypot(x, y), .06))
			for _, a := range all {
				along, across := x*a.cos+y*a.sin, -x*a.sin+y*a.cos
				t := along / a.length
				if t < 0 || t > 1.06 {
					continue
				}
				half := .017 + .022*glow(t-.04, .09) + .018*glow(t-.97, .06)
				side := math.Abs(across) / half
				wall := glow(side-1, .22) * smooth(1.05, 1, t)
				fill := smooth(1.1, .8, side) * smooth(1.05, 1, t)
				grain := .5 + .5*math.Cos(along*230)
				light = light.plus(colour.times(.8*wall + fill*(.16+.12*grain)))
				light = light.plus(shade{.45, .8, .3}.times(.38 * fill * (glow(t-.35, .11) + glow(t-.68, .1))))
			}
			return light
		}
	}
}

// spiral is a foraminifer: chambers that grow along a logarithmic spiral.
func spiral(chambers int, colour shade) func(*rand.Rand) func(x, y float64) shade {
	return func(random *rand.Rand) func(x, y float64) shade {
		type chamber struct{ x, y, r float64 }
		all := make([]chamber, chambers)
		growth := math.Pow(.33/.035, 1/float64(chambers-1))
		turn := .78 + .12*random.Float64()
		for i := range all {
			r := .035 * math.Pow(growth, float64(i))
			sin, cos := math.Sincos(turn * float64(i))
			all[i] = chamber{cos * r * 1.12, sin * r * 1.12, r}
		}
		return func(x, y float64) shade {
			var light shade
			x, y = x*.92, y*.92
			covered := 1.0
			for i := len(all) - 1; i >= 0; i-- {
				c := all[i]
				d := math.Hypot(x-c.x, y-c.y) / c.r
				if d > 1.5 {
					continue
				}
				inside := smooth(1.01, .97, d)
				lit := .35 + .65*clamp(((x-c.x)*-.5+(y-c.y)*-.7)/c.r+.4, 0, 1)
				pore := math.Cos((x-c.x)*150)*math.Cos((y-c.y)*150+float64(i)) > .62
				speck := 0.0
				if pore {
					speck = .28
				}
				light = light.plus(colour.times(covered * (inside*(lit*.42-speck*.3*lit) + .6*glow(d-.985, .035) + .1*glow(d-1, .2))))
				covered *= 1 - .9*inside
			}
			return light
		}
	}
}

// chain is a filament of cells with bristles.
func chain(cells int, colour shade) func(*rand.Rand) func(x, y float64) shade {
	return func(random *rand.Rand) func(x, y float64) shade {
		curve := .35 * (random.Float64() - .3)
		pitch := 1.7 / float64(cells)
		return func(x, y float64) shade {
			y -= curve * (x*x - .3)
			at := (x + .85) / pitch
			i := math.Floor(at)
			u := (at - i - .5) * pitch
			var light shade
			// Bristles leave the joints at a slant and curve outward.
			for _, side := range [2]float64{-1, 1} {
				for j := 0; j <= cells; j++ {
					joint := -.85 + float64(j)*pitch
					out := y * side
					if out < .04 {
						continue
					}
					lean := (float64(j)/float64(cells) - .5) * 1.5
					d := x - joint - lean*(out-.04)*(1+.5*out)
					light = light.plus(colour.times(.5 * glow(d, .0055) * smooth(.72, .2, out)))
				}
			}
			if i < 0 || i >= float64(cells) {
				return light
			}
			halfX, halfY := pitch*.44, .13
			qx, qy := math.Abs(u)-halfX+.035, math.Abs(y)-halfY+.035
			d := math.Hypot(math.Max(qx, 0), math.Max(qy, 0)) + math.Min(math.Max(qx, qy), 0) - .035
			inside := smooth(.004, -.008, d)
			plastids := .0
			for k := range 4 {
				phase := float64(k)*1.9 + i*1.3
				plastids += glow(math.Hypot(u-halfX*.55*math.Cos(phase), y-halfY*.6*math.Sin(phase)), .024)
			}
			light = light.plus(colour.times(glow(d, .008) + .22*glow(d, .04) + .12*inside))
			return light.plus(shade{.75, .85, .25}.times(.55 * plastids * inside))
		}
	}
}
