package e2e_test

import (
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// The picture of the README: the pages of a sign-on beside each other, at the
// addresses that the README names. `make pictures` copies it.
func TestPicturesForTheDocumentationOfSignOn(t *testing.T) {
	d := startApps(t, "--listen", "localhost:8080", "--api-listen", "localhost:8081", "--shop-listen", "localhost:8082", "--parcels-listen", "127.0.0.1:8083")
	defer d.stop(syscall.SIGINT)
	b := openTab(t)
	b.languages("en")
	b.theme("light")
	b.size(400, 720)
	h := mouse{b}
	b.visit(d.shop)
	b.arrives("Lanterns")
	h.press("Sign in")
	b.arrives("Sign in to Shop")
	b.shoot("sign-on-1")
	h.fill("username", "ada")
	h.fill("password", d.password)
	h.press("Sign in")
	b.arrives("Signed in as Ada Lovelace")
	h.press("Parcels")
	b.arrives("Where is my drawbridge?")
	h.press("Sign in")
	b.shows("Read orders")
	b.shoot("sign-on-2")
	h.press("Allow")
	b.arrives("Signed in as Ada Lovelace")
	b.shoot("sign-on-3")
	b.clean("pictures")
	beside(t, 720, "docs-single-sign-on", "sign-on-1", "sign-on-2", "sign-on-3")
}

// beside puts the tops of pictures next to each other, in 256 colours.
func beside(t *testing.T, height int, name string, parts ...string) {
	t.Helper()
	const gap = 24
	var pictures []image.Image
	width := -gap
	for _, part := range parts {
		f, err := os.Open(filepath.Join(artefacts, part+".png"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := png.Decode(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		pictures = append(pictures, p)
		width += p.Bounds().Dx() + gap
	}
	whole := image.NewRGBA(image.Rect(0, 0, width, height))
	count := map[color.RGBA]int{}
	for i, x := 0, 0; i < len(pictures); i++ {
		draw.Draw(whole, image.Rect(x, 0, x+pictures[i].Bounds().Dx(), height), pictures[i], image.Point{}, draw.Src)
		x += pictures[i].Bounds().Dx() + gap
	}
	for y := range height {
		for x := range width {
			count[whole.RGBAAt(x, y)]++
		}
	}
	colours := make([]color.RGBA, 0, len(count))
	for c := range count {
		colours = append(colours, c)
	}
	slices.SortFunc(colours, func(a, b color.RGBA) int { return count[b] - count[a] })
	palette := make(color.Palette, 0, 256)
	for _, c := range colours[:min(256, len(colours))] {
		palette = append(palette, c)
	}
	small := image.NewPaletted(whole.Bounds(), palette)
	draw.Draw(small, small.Bounds(), whole, image.Point{}, draw.Src)
	f, err := os.Create(filepath.Join(artefacts, name+".png"))
	if err != nil {
		t.Fatal(err)
	}
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(f, small); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
