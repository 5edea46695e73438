package page

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// maxOverrideBytes bounds a file of the branding folder.
const maxOverrideBytes = 64 << 10

// views are the types that the pages' templates are shown with.
var views = map[string]reflect.Type{
	"login": reflect.TypeFor[Login](), "consent": reflect.TypeFor[Consent](), "device-code": reflect.TypeFor[DeviceCode](),
	"device-confirm": reflect.TypeFor[DeviceConfirm](), "device-done": reflect.TypeFor[DeviceDone](), "continue": reflect.TypeFor[Continue](),
	"form-post": reflect.TypeFor[FormPost](), "logout": reflect.TypeFor[Logout](), "logged-out": reflect.TypeFor[LoggedOut](),
	"account": reflect.TypeFor[Account](), "inspect": reflect.TypeFor[Inspect](), "problem": reflect.TypeFor[Problem](),
}

// override reads a folder of the installation's own templates and stylesheet
// and reports everything that is wrong with them: what does not parse, names no
// page or no field, lacks a field or a link of the page it replaces, or would be
// blocked by the pages' policy.
func (p *Pages) override(folder string) error {
	sources, err := Sources()
	if err != nil {
		return err
	}
	changed, faults := p.readFolder(folder, sources)
	faults = append(faults, p.parseOverrides(changed, sources)...)
	if len(faults) == 0 {
		faults = p.tryOut()
	}
	return errors.Join(faults...)
}

// Overridden are the pages that the branding folder changes.
func (p *Pages) Overridden() []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return p.overridden[name] == nil })
}

// readFolder replaces in sources what the folder has and gives the names of it.
func (p *Pages) readFolder(folder string, sources map[string]string) (changed []string, faults []error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, []error{fmt.Errorf("templates: %w", err)}
	}
	for _, entry := range entries {
		name, isTemplate := strings.CutSuffix(entry.Name(), ".html")
		switch {
		case strings.HasPrefix(entry.Name(), ".") || strings.HasSuffix(entry.Name(), ".md"):
			continue
		case isTemplate && sources[name] == "":
			faults = append(faults, fmt.Errorf("%s: there is no page of this name. Pages: %s. Parts of all pages: %s", entry.Name(), strings.Join(names, ", "), strings.Join(partials, ", ")))
			continue
		case !isTemplate && entry.Name() != customSheet:
			faults = append(faults, fmt.Errorf("%s: the folder holds templates (PAGE.html) and %s only", entry.Name(), customSheet))
			continue
		}
		content, err := readBounded(filepath.Join(folder, entry.Name()))
		switch {
		case err != nil:
			faults = append(faults, err)
		case isTemplate:
			sources[name] = string(content)
			changed = append(changed, name)
		default:
			faults = append(faults, checkSheet(content))
			p.assets.add(customSheet, content)
		}
	}
	return changed, slices.DeleteFunc(faults, func(err error) bool { return err == nil })
}

func readBounded(file string) ([]byte, error) {
	content, err := os.ReadFile(file)
	var about *fs.PathError
	if errors.As(err, &about) {
		return nil, fmt.Errorf("%s: %w", filepath.Base(file), about.Err)
	}
	if err == nil && len(content) > maxOverrideBytes {
		return nil, fmt.Errorf("%s: is larger than %d KB", filepath.Base(file), maxOverrideBytes>>10)
	}
	return content, err
}

// checkSheet refuses what the policy of the pages would block.
func checkSheet(content []byte) error {
	lower := bytes.ToLower(content)
	for _, fetches := range []string{"@import", "url(", "image-set("} {
		if i := bytes.Index(lower, []byte(fetches)); i >= 0 {
			return fmt.Errorf("%s:%d: %s fetches another file, and the pages fetch nothing but their own", customSheet, 1+bytes.Count(content[:i], []byte("\n")), fetches)
		}
	}
	return nil
}

func (p *Pages) parseOverrides(changed []string, sources map[string]string) (faults []error) {
	for _, name := range changed {
		types := []reflect.Type{views[name]}
		if slices.Contains(partials, name) {
			types = nil // shown with any of them
			for _, view := range views {
				types = append(types, view)
			}
		}
		faults = append(faults, lint(name+".html", sources[name], types, p.languages[Languages[0]].messages)...)
	}
	if len(faults) > 0 {
		return faults
	}
	everywhere := slices.ContainsFunc(changed, func(name string) bool { return slices.Contains(partials, name) })
	for _, name := range names {
		if !everywhere && !slices.Contains(changed, name) {
			continue
		}
		t, err := compose(name, sources)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		p.overridden[name] = t
	}
	return faults
}

// tryOut shows every page that was changed with every sample, and compares it
// with ours.
func (p *Pages) tryOut() []error {
	ours, theirs := *p, *p
	ours.overridden = nil
	seen := map[string]bool{}
	var faults []error
	report := func(page, what string) {
		if text := page + ".html: " + what; !seen[text] {
			seen[text] = true
			faults = append(faults, errors.New(text))
		}
	}
	theirs.failed = func(page string, cause error) { report(page, cause.Error()) }
	for _, s := range Samples(p.now()) {
		if p.overridden[s.Page] == nil {
			continue
		}
		for _, language := range Languages {
			want, got := ours.sample(s, language), theirs.sample(s, language)
			for _, fault := range review(got) {
				report(s.Page, fault)
			}
			for _, part := range parts(want) {
				if !slices.Contains(parts(got), part) {
					report(s.Page, "lacks "+part+", which this page needs")
				}
			}
		}
	}
	return faults
}

// sample is the body of a sample's page.
func (p *Pages) sample(s Sample, language string) string {
	r := &http.Request{Method: http.MethodGet, Header: http.Header{"Accept-Language": {language}}}
	w := &capture{header: http.Header{}}
	s.Show(p, w, r)
	return w.body.String()
}

// capture is an http.ResponseWriter that keeps the body.
type capture struct {
	header http.Header
	body   bytes.Buffer
}

func (c *capture) Header() http.Header         { return c.header }
func (c *capture) Write(b []byte) (int, error) { return c.body.Write(b) }
func (c *capture) WriteHeader(int)             {}
