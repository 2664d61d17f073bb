package main

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
)

// tide is twelve seconds of waves on a beach: filtered noise that swells and falls, as a WAV file of 16-bit mono
// samples at 22,050 Hz. It begins and ends at the same level, so that it loops.
func tide() []byte {
	const rate, seconds = 22050, 12
	random := rand.New(rand.NewPCG(7, 7))
	samples := make([]int16, rate*seconds)
	var low, lower float64
	for i := range samples {
		t := float64(i) / rate
		swell := .5 - .5*math.Cos(2*math.Pi*t/6)
		swell = .08 + .92*swell*swell
		// Two one-pole low-pass filters; the wash brightens as the wave breaks.
		noise := random.Float64()*2 - 1
		low += (.04 + .22*swell) * (noise - low)
		lower += .01 * (noise - lower)
		samples[i] = int16(32767 * clamp(swell*.55*low+.5*lower, -1, 1))
	}
	return wav(samples, rate)
}

// wav wraps samples in a RIFF header.
func wav(samples []int16, rate uint32) []byte {
	size := uint32(len(samples) * 2)
	out := append([]byte("RIFF"), le32(36+size)...)
	out = append(out, "WAVEfmt "...)
	out = append(out, le32(16)...)
	out = append(out, 1, 0, 1, 0) // PCM, one channel
	out = append(out, le32(rate)...)
	out = append(out, le32(rate*2)...)
	out = append(out, 2, 0, 16, 0) // block align, bits a sample
	out = append(out, "data"...)
	out = append(out, le32(size)...)
	for _, s := range samples {
		out = binary.LittleEndian.AppendUint16(out, uint16(s))
	}
	return out
}

func le32(x uint32) []byte { return binary.LittleEndian.AppendUint32(nil, x) }
