package page

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Config of the pages. The zero value of each field is ours.
type Config struct {
	Product   string // the name above every page; "" Gatehouse
	Host      string // the issuer's host
	LogoFile  string // SVG, PNG, JPEG or WebP; "" our own mark
	Accent    string // "#1c5fd4", or one for light and one for dark: "#1c5fd4 #7fb0ff"
	Templates string // a folder of overrides, "" none
	Now       func() time.Time
	Logger    *slog.Logger
	Pseudo    bool // also speak en-XA, for tests of overflow
}

// Pages render every view. They are immutable.
type Pages struct {
	product, host string
	logo          string // name of the asset, "" ours
	now           func() time.Time
	logger        *slog.Logger
	languages     map[string]*language
	assets        *assetFiles
	built         map[string]*template.Template  // ours, by page
	overridden    map[string]*template.Template  // the installation's, by page
	failed        func(page string, cause error) // an override could not be shown
}

//go:embed assets
var assets embed.FS

// names of the pages; each has a template of that name.
var names = []string{"login", "consent", "device-code", "device-confirm", "device-done", "continue", "form-post", "logout", "logged-out", "account", "password", "inspect", "problem"}

// partials are templates that all pages share.
var partials = []string{"layout", "scopes"}

var functions = template.FuncMap{"own": own, "theirs": theirs, "optional": optional, "proven": proven}

// New reads and checks everything once and reports all faults together.
func New(c Config) (*Pages, error) {
	p := &Pages{product: c.Product, host: c.Host, now: c.Now, logger: c.Logger, languages: map[string]*language{}, overridden: map[string]*template.Template{}}
	if p.product == "" {
		p.product = "Gatehouse"
	}
	p.product = plain(p.product)
	if p.now == nil {
		p.now = time.Now
	}
	if p.logger == nil {
		p.logger = slog.New(slog.DiscardHandler)
	}
	p.failed = func(page string, cause error) {
		p.logger.Error("a template of the branding folder failed, so the built-in page was shown", "page", page, "cause", cause)
	}
	if err := p.load(c.Pseudo); err != nil {
		return nil, err // ours, so nothing of the installation's is at fault
	}
	var faults []error
	accent, err := parseAccent(c.Accent)
	faults = append(faults, err)
	p.assets, err = ownAssets(accent)
	if err != nil {
		return nil, err
	}
	if c.LogoFile != "" {
		p.logo, err = p.assets.addLogo(c.LogoFile)
		faults = append(faults, err)
	}
	if c.Templates != "" {
		faults = append(faults, p.override(c.Templates))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Pages) load(withPseudo bool) (err error) {
	for _, tag := range Languages {
		if p.languages[tag], err = loadLanguage(tag); err != nil {
			return err
		}
	}
	if withPseudo {
		p.languages["en-XA"] = pseudo(p.languages["en"])
	}
	p.built, err = parseBuilt()
	return err
}

// Sources are the templates that an installation can replace, by page or part,
// and what they define.
func Sources() (map[string]string, error) {
	sources := map[string]string{}
	for _, name := range slices.Concat(names, partials) {
		content, err := assets.ReadFile("assets/" + name + ".html")
		if err != nil {
			return nil, fmt.Errorf("read the templates: %w", err)
		}
		sources[name] = string(content)
	}
	return sources, nil
}

func parseBuilt() (map[string]*template.Template, error) {
	sources, err := Sources()
	if err != nil {
		return nil, err
	}
	built := map[string]*template.Template{}
	for _, name := range names {
		t, err := compose(name, sources)
		if err != nil {
			return nil, err
		}
		built[name] = t
	}
	return built, nil
}

// compose parses a page and the partials that it stands on.
func compose(name string, sources map[string]string) (*template.Template, error) {
	t := template.New(name).Funcs(functions)
	for _, part := range slices.Concat(partials, []string{name}) {
		if _, err := t.New(part + ".html").Parse(sources[part]); err != nil {
			return nil, fmt.Errorf("parse %s.html: %w", part, err)
		}
	}
	return t, nil
}

// view is any of the view structs.
type view interface{ common() Common }

// show writes a page. An override that fails on these values is logged, and
// ours is shown instead: people can still sign in.
func show[V view](p *Pages, w http.ResponseWriter, status int, v V, allowed policy) {
	name := v.common().frame.page
	body, err := render(p.overridden[name], p.built[name], clean(v))
	if err != nil && body != nil {
		p.failed(name, err)
	} else if err != nil {
		panic("page: a template of ours does not fit its view: " + err.Error())
	}
	h := w.Header()
	allowed.set(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", v.common().Lang())
	h.Set("Vary", "Accept-Language, Cookie")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

// render runs the override, or ours without one. With both a body and an error
// the override failed and the body is ours.
func render(override, built *template.Template, v any) ([]byte, error) {
	if override == nil {
		return execute(built, v)
	}
	body, failed := execute(override, v)
	if failed == nil {
		return body, nil
	}
	body, err := execute(built, v)
	if err != nil {
		return nil, err
	}
	return body, failed
}

func execute(t *template.Template, v any) ([]byte, error) {
	var body bytes.Buffer
	if err := t.ExecuteTemplate(&body, "layout.html", v); err != nil {
		return nil, err
	}
	return append(bytes.TrimSpace(body.Bytes()), '\n'), nil
}
