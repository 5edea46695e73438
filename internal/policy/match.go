package policy

import (
	"slices"
	"strings"
)

// segment of a pattern: a literal, {name}, or ** at the end.
type segment struct {
	literal string
	param   string
	rest    bool
}

// node of the tree of patterns. Its children are tried from the most to the
// least specific: a literal, a parameter, **.
type node struct {
	literals map[string]*node
	folded   map[string]bool // the literals, whatever their case
	param    *node
	rest     []*Route
	here     []*Route
}

func (n *node) add(r *Route, at int) {
	if at == len(r.segments) {
		n.here = append(n.here, r)
		return
	}
	s := r.segments[at]
	switch {
	case s.rest:
		n.rest = append(n.rest, r)
	case s.param != "":
		if n.param == nil {
			n.param = &node{}
		}
		n.param.add(r, at+1)
	default:
		if n.literals == nil {
			n.literals, n.folded = map[string]*node{}, map[string]bool{}
		}
		if n.literals[s.literal] == nil {
			n.literals[s.literal] = &node{}
			n.folded[fold(s.literal)] = true
		}
		n.literals[s.literal].add(r, at+1)
	}
}

// ambiguous is a path that other servers would take for that of another route.
type ambiguous string

const (
	clear       ambiguous = ""
	byCase      ambiguous = "it differs from a route only in case"
	bySlash     ambiguous = "it differs from a route only in the slash at its end"
	bySemicolon ambiguous = "a ; in a segment is matched only by a route that spells it out"
)

// match finds the most specific route. Where an upstream that is careless of
// case or of a slash at the end would serve another route's path, there is none.
// The zero Policy has none at all.
func (p *Policy) match(c Canonical) (*Route, ambiguous) {
	if p == nil || p.tree == nil {
		return nil, clear
	}
	return p.tree.find(c, 0)
}

func (n *node) find(c Canonical, at int) (*Route, ambiguous) {
	if at == len(c.Segments) {
		return n.end(c)
	}
	segment := c.Segments[at]
	if n.literals != nil {
		if next := n.literals[segment]; next != nil {
			if r, doubt := next.find(c, at+1); r != nil || doubt != clear {
				return r, doubt
			}
		} else if n.folded[fold(segment)] {
			return nil, byCase
		}
	}
	if strings.IndexByte(segment, ';') >= 0 {
		return nil, bySemicolon
	}
	if n.param != nil {
		if r, doubt := n.param.find(c, at+1); r != nil || doubt != clear {
			return r, doubt
		}
	}
	r := withMethod(n.rest, c.Method)
	if r == nil {
		return nil, clear
	}
	for _, s := range c.Segments[at:] {
		if strings.IndexByte(s, ';') >= 0 {
			return nil, bySemicolon
		}
	}
	return r, clear
}

// end takes the route that ends here, with a slash or without as it is written.
func (n *node) end(c Canonical) (*Route, ambiguous) {
	doubt := clear
	for _, r := range n.here {
		if !slices.Contains(r.Methods, c.Method) {
			continue
		}
		if r.slash == c.Slash {
			return r, clear
		}
		doubt = bySlash
	}
	if doubt != clear {
		return nil, doubt
	}
	return withMethod(n.rest, c.Method), clear
}

func withMethod(routes []*Route, method string) *Route {
	for _, r := range routes {
		if slices.Contains(r.Methods, method) {
			return r
		}
	}
	return nil
}

// relation of the paths that two patterns match.
type relation int

const (
	disjoint relation = iota
	nested            // one matches all that the other does, and more
	equal
	crossing // each matches some that the other does not
)

// relate compares what two routes match, whatever their methods.
func relate(a, b *Route) relation {
	wider, narrower := false, false // of a, against b
	for i := 0; ; i++ {
		endA, endB := i == len(a.segments), i == len(b.segments)
		restA, restB := !endA && a.segments[i].rest, !endB && b.segments[i].rest
		switch {
		case endA && endB:
			if a.slash != b.slash {
				return disjoint
			}
			return verdict(wider, narrower)
		case restA && restB:
			return verdict(wider, narrower)
		case restA:
			return verdict(true, narrower)
		case restB:
			return verdict(wider, true)
		case endA || endB:
			return disjoint
		}
		sa, sb := a.segments[i], b.segments[i]
		switch {
		case sa.param == "" && sb.param == "":
			if sa.literal != sb.literal {
				return disjoint
			}
		case sa.param == "":
			narrower = true
		case sb.param == "":
			wider = true
		}
	}
}

func verdict(wider, narrower bool) relation {
	switch {
	case wider && narrower:
		return crossing
	case wider || narrower:
		return nested
	}
	return equal
}

// meet is the route of all that both match.
func meet(a, b *Route) *Route {
	m := &Route{slash: a.slash}
	long, short := a.segments, b.segments
	if len(long) > 0 && long[len(long)-1].rest {
		m.slash, long, short = b.slash, short, long
	}
	for i, s := range long {
		if i < len(short) && !short[i].rest && s.param != "" {
			s = short[i]
		}
		m.segments = append(m.segments, s)
	}
	for i := range m.segments {
		if i < len(short) && m.segments[i].rest && !short[i].rest {
			m.segments = append(m.segments[:i], short[i:]...)
			break
		}
	}
	for _, s := range m.segments {
		m.Pattern += "/" + s.String()
	}
	if m.slash || m.Pattern == "" {
		m.Pattern += "/"
	}
	return m
}

func (s segment) String() string {
	switch {
	case s.rest:
		return "**"
	case s.param != "":
		return "{" + s.param + "}"
	}
	return s.literal
}
