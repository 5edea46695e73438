package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
)

const (
	sheet       = "gatehouse.css"
	customSheet = "custom.css"
	mark        = "mark.svg"

	maxLogoBytes = 256 << 10
)

// assetFiles are what pages fetch. Each is served under a name that has its
// hash, so that a browser may keep it for good.
type assetFiles struct{ byName map[string]asset }

type asset struct {
	contentType  string
	body, zipped []byte
	hash         string
}

// ownAssets are ours, in the installation's accent.
func ownAssets(a accent) (*assetFiles, error) {
	files := &assetFiles{byName: map[string]asset{}}
	for _, name := range []string{sheet, mark, "form.js", "submit.js"} {
		content, err := assets.ReadFile("assets/" + name)
		if err != nil {
			return nil, fmt.Errorf("read the assets: %w", err)
		}
		content = bytes.ReplaceAll(content, []byte(ourAccent.light.String()), []byte(a.light.String()))
		content = bytes.ReplaceAll(content, []byte(ourAccent.dark.String()), []byte(a.dark.String()))
		files.add(name, content)
	}
	return files, nil
}

var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp",
}

func (f *assetFiles) add(name string, body []byte) {
	sum := sha256.Sum256(body)
	a := asset{contentType: assetTypes[path.Ext(name)], body: body, hash: hex.EncodeToString(sum[:])[:12]}
	var zipped bytes.Buffer
	z, _ := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	z.Write(body)
	if z.Close(); zipped.Len() < len(body)*9/10 {
		a.zipped = zipped.Bytes()
	}
	f.byName[name] = a
}

func (f *assetFiles) has(name string) bool { _, ok := f.byName[name]; return ok }

// address is /assets/name-hash.ext.
func (f *assetFiles) address(name string) string {
	extension := path.Ext(name)
	return "/assets/" + strings.TrimSuffix(name, extension) + "-" + f.byName[name].hash + extension
}

// addLogo reads the product's logo; its content decides what it is.
func (f *assetFiles) addLogo(file string) (string, error) {
	opened, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("logo: %w", err)
	}
	defer opened.Close()
	content, err := io.ReadAll(io.LimitReader(opened, maxLogoBytes+1))
	if err != nil {
		return "", fmt.Errorf("logo: %w", err)
	}
	if len(content) > maxLogoBytes {
		return "", fmt.Errorf("logo: %s is larger than %d KB, which is too much for a page that should be there at once", file, maxLogoBytes>>10)
	}
	extension, err := imageType(content)
	if err != nil {
		return "", fmt.Errorf("logo: %s: %w", file, err)
	}
	f.add("logo"+extension, content)
	return "logo" + extension, nil
}

func imageType(content []byte) (string, error) {
	switch http.DetectContentType(content) {
	case "image/png":
		return ".png", nil
	case "image/jpeg":
		return ".jpg", nil
	case "image/webp":
		return ".webp", nil
	}
	if head := content[:min(len(content), 1024)]; bytes.Contains(head, []byte("<svg")) {
		return ".svg", nil
	}
	return "", errors.New("it is not an SVG, PNG, JPEG or WebP image")
}

// Assets serves /assets/…: stylesheet, scripts, logo. A name with the hash of
// its content may be kept for good; one with another hash is of another version
// of this server, whose pages a browser still shows, and gets the file of today.
func (p *Pages) Assets() http.Handler { return p.assets }

// Assets serves the files of pages that are not of an installation: setup and
// dev, in our own colours.
func Assets() http.Handler {
	files, err := ownAssets(ourAccent)
	if err != nil {
		panic("page: the embedded files are gone: " + err.Error())
	}
	return files
}

func (f *assetFiles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, hash := split(strings.TrimPrefix(r.URL.Path, "/assets/"))
	a, found := f.byName[name]
	h := w.Header()
	if !found || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	h.Set("Content-Type", a.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	// A logo that is opened by itself is a document; it may do nothing.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'")
	h.Set("ETag", `"`+a.hash+`"`)
	h.Set("Vary", "Accept-Encoding")
	switch hash {
	case a.hash:
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	default:
		h.Set("Cache-Control", "no-cache")
	}
	if r.Header.Get("If-None-Match") == `"`+a.hash+`"` {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := a.body
	if a.zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = a.zipped
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		w.Write(body)
	}
}

// split takes the hash out of name-hash.ext.
func split(file string) (name, hash string) {
	extension := path.Ext(file)
	stem := strings.TrimSuffix(file, extension)
	if i := strings.LastIndexByte(stem, '-'); i > 0 && len(stem)-i-1 == 12 {
		return stem[:i] + extension, stem[i+1:]
	}
	return file, ""
}
