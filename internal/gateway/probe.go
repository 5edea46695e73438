package gateway

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	pathpkg "path"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

// Bounds of one question to an upstream.
const (
	probeTimeout = 5 * time.Second
	probeBody    = 64 << 10
)

// What a Finding can be.
const (
	SameAnswer = "same_answer" // answered as if it were Plain
	Redirected = "redirect"    // sent to Plain
)

// ErrNotMeasurable is an upstream that answers the given paths as it answers any.
var ErrNotMeasurable = errors.New("the upstream answers these paths as it answers paths that do not exist, so nothing can be told apart")

// ErrSilent is an upstream that does not answer at all.
var ErrSilent = errors.New("the upstream does not answer")

// Finding is a target that the upstream reads as another path.
type Finding struct {
	Kind     string `json:"kind"`   // same_answer or redirect
	Target   string `json:"target"` // as sent
	Plain    string `json:"plain"`  // the path that it was taken for
	What     string `json:"what"`
	Accepted bool   `json:"accepted"` // the gateway lets it through, as a path of its own
	Status   int    `json:"status"`
}

// Probed is what a Probe saw.
type Probed struct {
	Sent     int       `json:"sent"`     // requests
	Compared int       `json:"compared"` // targets whose answer says how they were read
	Findings []Finding `json:"findings"`
	// Unmeasured are given paths that are answered as paths that nobody has: nothing
	// is known about them.
	Unmeasured []string `json:"unmeasured"`
}

// Disagreements are the accepted targets that the upstream answers as another path:
// there a rule for the one path may not hold for the other name.
func (p Probed) Disagreements() int {
	n := 0
	for _, f := range p.Findings {
		if f.Accepted && f.Kind == SameAnswer {
			n++
		}
	}
	return n
}

// Probe finds the paths that an upstream reads otherwise than the gateway does.
// It sends the paths of the published corpus and spellings of the given ones,
// each on a connection of its own, with GET only. Header lines are sent along.
// The error is ErrSilent, ErrNotMeasurable or that of ctx.
func Probe(ctx context.Context, upstream *url.URL, paths, header []string) (Probed, error) {
	p := &prober{ctx: ctx, upstream: upstream, header: strings.Join(header, "\r\n"), answers: map[string]answer{}, same: map[string]bool{}, seen: Probed{Findings: []Finding{}, Unmeasured: []string{}}}
	if p.header != "" {
		p.header += "\r\n"
	}
	if first := p.ask("/"); first.err != nil {
		return Probed{}, fmt.Errorf("%w: %w", ErrSilent, first.err)
	}
	spellings, err := corpusSpellings()
	if err != nil {
		return Probed{}, err
	}
	p.compareAll(spellings)
	for _, plain := range paths {
		before := p.seen.Compared
		if p.compareAll(spell(plain)); p.seen.Compared == before {
			p.seen.Unmeasured = append(p.seen.Unmeasured, plain)
		}
	}
	if err := ctx.Err(); err != nil {
		return p.seen, err
	}
	if p.seen.Compared == 0 || len(p.seen.Unmeasured) > 0 && len(p.seen.Unmeasured) == len(paths) && p.seen.Disagreements() == 0 {
		return p.seen, ErrNotMeasurable
	}
	return p.seen, nil
}

// spelling is a target that a careless server reads as a plain path. Others are
// paths that are certainly different: an answer like theirs says nothing.
type spelling struct {
	target, plain, what string
	others              []string
}

// corpusSpellings are the rows of the corpus that change nothing at an upstream.
func corpusSpellings() ([]spelling, error) {
	samples, err := policy.Corpus()
	if err != nil {
		return nil, err
	}
	var all []spelling
	for _, s := range samples {
		plain := careless(s.Target)
		if s.Method != http.MethodGet || s.Verdict == policy.BadMethod || plain == s.Target {
			continue
		}
		what := s.Note
		if s.Verdict == "accept" {
			what = "another spelling"
		}
		all = append(all, spelling{s.Target, plain, what, others(plain)})
	}
	return all, nil
}

// careless reads a target as a server does that decodes, drops parameters and
// case, and cleans what is left.
func careless(target string) string {
	p, _, _ := strings.Cut(target, "?")
	for range 2 {
		decoded, err := url.PathUnescape(p)
		if err != nil {
			break
		}
		p = decoded
	}
	var bare []string
	for segment := range strings.SplitSeq(strings.ReplaceAll(p, `\`, "/"), "/") {
		name, _, _ := strings.Cut(segment, ";")
		bare = append(bare, name)
	}
	clean := pathpkg.Clean("/" + strings.ToLower(strings.Join(bare, "/")))
	return (&url.URL{Path: clean}).EscapedPath()
}

// others are a path with one segment exchanged for one that nobody has.
func others(plain string) []string {
	segments := strings.Split(strings.TrimPrefix(plain, "/"), "/")
	var all []string
	for i := range segments {
		all = append(all, with(segments, i, nobody))
	}
	return all
}

var nobody = "gatehouse-probe-" + strings.ToLower(rand.Text())[:12]

func with(segments []string, i int, segment string) string {
	changed := slices.Clone(segments)
	changed[i] = segment
	return "/" + strings.Join(changed, "/")
}

// spell writes a path as it can be written for a server that is careless.
func spell(plain string) []spelling {
	var all []spelling
	segments := strings.Split(strings.Trim(plain, "/"), "/")
	if segments[0] == "" {
		return nil
	}
	for i, s := range segments {
		other := []string{with(segments, i, nobody)}
		swapped := strings.ToUpper(s)
		if swapped == s {
			swapped = strings.ToLower(s)
		}
		for _, v := range []struct{ segment, what string }{
			{swapped, "another case"},
			{s + ";x=1", "a path parameter"},
			{s + ".json", "an extension"},
			{"%20" + s, "a space in front"},
			{fmt.Sprintf("%%%02x", s[0]) + s[1:], "an encoded letter"},
			{"/" + s, "two slashes"},
			{"./" + s, "a dot segment"},
			{"%2e/" + s, "an encoded dot segment"},
			{"x/../" + s, "back with two dots"},
			{"x/%2e%2e/" + s, "back with encoded dots"},
			{"x/..;/" + s, "back with dots and a parameter"},
			{"x%2f..%2f" + s, "encoded slashes"},
			{`\` + s, "a backslash"},
			{s + ".", "a dot at the end"},
			{s + "%20", "a space at the end"},
			{s + "%00", "NUL at the end"},
		} {
			all = append(all, spelling{with(segments, i, v.segment), plain, v.what, other})
		}
	}
	return all
}

type prober struct {
	ctx      context.Context
	upstream *url.URL
	header   string
	answers  map[string]answer
	same     map[string]bool
	seen     Probed
}

// answer is what tells two answers apart.
type answer struct {
	target   string
	status   int
	body     string
	location string
	err      error
}

// steady tells whether a path is answered with the same body each time. Where it is
// not (a date, an id), only status and Location tell answers apart.
func (p *prober) steady(target string) bool {
	known, ok := p.same[target]
	if !ok {
		known = p.ask(target).like(p.send(target))
		p.same[target] = known
		p.seen.Sent++
	}
	return known
}

func (a answer) withoutBody() answer {
	a.body = ""
	return a
}

// like compares two answers without the two paths that were asked for: a page may
// say which path it is, or which was not found.
func (a answer) like(b answer) bool {
	return a.err == nil && b.err == nil && a.status == b.status && a.location == b.location && a.without(b.target) == b.without(a.target)
}

func (a answer) without(other string) string {
	paths := []string{a.target, other}
	slices.SortFunc(paths, func(x, y string) int { return len(y) - len(x) })
	text := a.body
	for _, p := range paths {
		if len(p) > 1 {
			text = strings.ReplaceAll(text, p, "")
		}
	}
	return text
}

func (p *prober) compareAll(spellings []spelling) {
	for _, s := range spellings {
		if p.ctx.Err() != nil {
			return
		}
		p.compare(s)
	}
}

func (p *prober) compare(s spelling) {
	plain := p.ask(s.plain)
	if s.target == s.plain || plain.err != nil {
		return
	}
	answered := p.ask
	if !p.steady(s.plain) {
		answered = func(target string) answer { return p.ask(target).withoutBody() }
		plain = plain.withoutBody()
	}
	for _, other := range s.others {
		if answered(other).like(plain) {
			return
		}
	}
	p.seen.Compared++
	got := answered(s.target)
	found := Finding{Target: s.target, Plain: s.plain, What: s.what, Status: got.status}
	switch {
	case got.like(plain):
		found.Kind = SameAnswer
	case got.status/100 == 3 && got.location == s.plain:
		found.Kind = Redirected
	default:
		return
	}
	one, err := policy.Canonicalize(http.MethodGet, s.target)
	if err == nil {
		two, err := policy.Canonicalize(http.MethodGet, s.plain)
		if err == nil && slices.Equal(one.Segments, two.Segments) {
			return // the gateway takes them for one path too
		}
		found.Accepted = true
	}
	p.seen.Findings = append(p.seen.Findings, found)
}

// ask sends a target once; later it is known.
func (p *prober) ask(target string) answer {
	if known, ok := p.answers[target]; ok {
		return known
	}
	a := p.send(target)
	p.answers[target] = a
	p.seen.Sent++
	return a
}

func (p *prober) send(target string) answer {
	ctx, cancel := context.WithTimeout(p.ctx, probeTimeout)
	defer cancel()
	conn, err := p.dial(ctx)
	if err != nil {
		return answer{err: err}
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(probeTimeout)) // a connection of the network has deadlines
	if _, err := io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: "+p.upstream.Host+"\r\nUser-Agent: gatehouse-probe\r\nConnection: close\r\n"+p.header+"\r\n"); err != nil {
		return answer{err: err}
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return answer{err: err}
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, probeBody))
	if err != nil {
		return answer{err: err}
	}
	location := r.Header.Get("Location")
	if u, err := url.Parse(location); err == nil && location != "" {
		location = u.EscapedPath()
	}
	return answer{target: target, status: r.StatusCode, body: string(body), location: location}
}

func (p *prober) dial(ctx context.Context) (net.Conn, error) {
	host := p.upstream.Host
	if p.upstream.Scheme == schemeHTTPS {
		if p.upstream.Port() == "" {
			host = net.JoinHostPort(p.upstream.Hostname(), "443")
		}
		return (&tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", host)
	}
	if p.upstream.Port() == "" {
		host = net.JoinHostPort(p.upstream.Hostname(), "80")
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", host)
}
