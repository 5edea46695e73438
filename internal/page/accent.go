package page

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// shade is a colour of sRGB, each part 0 to 1.
type shade [3]float64

// accent is the one colour that a product chooses, for light and for dark.
type accent struct{ light, dark shade }

// Our own accent, and the surfaces that an accent must be read on. The
// stylesheet has the same values.
var (
	ourAccent     = accent{light: must("#1c5fd4"), dark: must("#7fb0ff")}
	lightSurfaces = []shade{must("#ffffff"), must("#f6f7f9")}
	darkSurfaces  = []shade{must("#0e1116"), must("#161b22")}
	black, white  = shade{}, shade{1, 1, 1}
)

// enough is the contrast that text needs (WCAG 2.2, 1.4.3).
const enough = 4.5

func must(hex string) shade {
	s, err := parseShade(hex)
	if err != nil {
		panic(err)
	}
	return s
}

// parseAccent reads one colour, for light pages, and makes the one for dark
// pages from it; or reads both. A colour that cannot be read well is refused
// with the nearest shade of it that can.
func parseAccent(text string) (accent, error) {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return ourAccent, nil
	}
	if len(fields) > 2 {
		return accent{}, fmt.Errorf("accent %q: one colour such as #1c5fd4, or two, for light and dark pages", text)
	}
	light, err := parseShade(fields[0])
	if err != nil {
		return accent{}, err
	}
	if err := check(light, "light", lightSurfaces, black); err != nil {
		return accent{}, err
	}
	if len(fields) == 1 {
		return accent{light: light, dark: nearest(light, darkSurfaces, white)}, nil
	}
	dark, err := parseShade(fields[1])
	if err != nil {
		return accent{}, err
	}
	if err := check(dark, "dark", darkSurfaces, white); err != nil {
		return accent{}, err
	}
	return accent{light: light, dark: dark}, nil
}

func check(s shade, page string, surfaces []shade, towards shade) error {
	if got := worst(s, surfaces); got < enough {
		return fmt.Errorf("accent %s: its contrast on a %s page is %.1f:1, and text needs %.1f:1. The nearest shade that passes is %s", s, page, math.Floor(got*10)/10, enough, nearest(s, surfaces, towards))
	}
	return nil
}

// nearest mixes just enough of another shade into s for it to be read well on
// all surfaces.
func nearest(s shade, surfaces []shade, towards shade) shade {
	for step := range 256 {
		mixed := s.mix(towards, float64(step)/255)
		if worst(mixed, surfaces) >= enough {
			return mixed
		}
	}
	return towards
}

// worst is the lowest contrast of s on surfaces.
func worst(s shade, surfaces []shade) float64 {
	lowest := math.Inf(1)
	for _, surface := range surfaces {
		lowest = min(lowest, contrast(s, surface))
	}
	return lowest
}

// contrast of two shades (WCAG 2.2, "contrast ratio").
func contrast(a, b shade) float64 {
	x, y := a.luminance(), b.luminance()
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func (s shade) luminance() float64 {
	linear := func(c float64) float64 {
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(s[0]) + 0.7152*linear(s[1]) + 0.0722*linear(s[2])
}

// mix rounds to what a colour of six digits can say, so that what is checked is
// what is shown.
func (s shade) mix(other shade, part float64) shade {
	var m shade
	for i := range m {
		m[i] = math.Round((s[i]*(1-part)+other[i]*part)*255) / 255
	}
	return m
}

func (s shade) String() string {
	return fmt.Sprintf("#%02x%02x%02x", byte(math.Round(s[0]*255)), byte(math.Round(s[1]*255)), byte(math.Round(s[2]*255)))
}

func parseShade(hex string) (shade, error) {
	digits, found := strings.CutPrefix(hex, "#")
	n, err := strconv.ParseUint(digits, 16, 32)
	if !found || len(digits) != 6 || err != nil {
		return shade{}, fmt.Errorf("accent %q: a colour is written like #1c5fd4", hex)
	}
	return shade{float64(n>>16) / 255, float64(n>>8&0xff) / 255, float64(n&0xff) / 255}, nil
}
