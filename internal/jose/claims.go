package jose

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	exact "github.com/go-jose/go-jose/v4/json"
)

// Claims is a claims set (RFC 7519 §4) whose registered claims have the right
// types. A time that is absent is the zero time.
type Claims struct {
	Issuer    string
	Subject   string
	Audience  []string
	Expires   time.Time
	NotBefore time.Time
	IssuedAt  time.Time
	ID        string

	payload []byte
	members []member
}

// ParseClaims reads a payload. Wrong types are ErrClaim, anything but one
// strict JSON object is ErrMalformed.
func ParseClaims(payload []byte) (Claims, error) {
	members, err := parseObject(payload)
	if err != nil {
		return Claims{}, fmt.Errorf("claims: %w", err)
	}
	c := Claims{payload: payload, members: members}
	for _, p := range []struct {
		name string
		into *string
	}{{"iss", &c.Issuer}, {"sub", &c.Subject}, {"jti", &c.ID}} {
		if *p.into, err = c.String(p.name); err != nil {
			return Claims{}, err
		}
	}
	for _, p := range []struct {
		name string
		into *time.Time
	}{{"exp", &c.Expires}, {"nbf", &c.NotBefore}, {"iat", &c.IssuedAt}} {
		if *p.into, err = c.Time(p.name); err != nil {
			return Claims{}, err
		}
	}
	c.Audience, err = c.audience()
	return c, err
}

// audience is one string or a list of strings (RFC 7519 §4.1.3).
func (c Claims) audience() ([]string, error) {
	raw := c.Raw("aud")
	if raw == nil {
		return nil, nil
	}
	if raw[0] == '"' {
		one, err := unquote(raw)
		return []string{one}, err
	}
	return c.Strings("aud")
}

// Raw is the JSON text of a claim, nil when absent.
func (c Claims) Raw(name string) []byte { return find(c.members, name) }

// Has tells whether a claim of exactly that name is present, null included.
func (c Claims) Has(name string) bool { return c.Raw(name) != nil }

// String reads a claim that is a string; absent is "".
func (c Claims) String(name string) (string, error) {
	s, err := stringValue(c.Raw(name))
	if err != nil {
		return "", fmt.Errorf("%w: %s is not a string", ErrClaim, name)
	}
	return s, nil
}

// Strings reads a claim that is a list of strings; absent is nil. A longer path
// leads through objects: Strings("realm_access", "roles").
func (c Claims) Strings(path ...string) ([]string, error) {
	members := c.members
	for i, name := range path {
		raw := find(members, name)
		if raw == nil {
			return nil, nil
		}
		if i == len(path)-1 {
			list, err := stringList(raw)
			if err != nil {
				return nil, fmt.Errorf("%w: %s is not a list of strings", ErrClaim, name)
			}
			return list, nil
		}
		var err error
		if members, err = parseObject(raw); err != nil {
			return nil, fmt.Errorf("%w: %s is not an object", ErrClaim, name)
		}
	}
	return nil, nil
}

// Int reads a claim that is an integer; absent is 0.
func (c Claims) Int(name string) (int64, error) {
	raw := c.Raw(name)
	if raw == nil {
		return 0, nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %s is not an integer", ErrClaim, name)
	}
	return n, nil
}

// latest is the end of the year 9999, in seconds.
const latest = 253402300799

// Time reads a NumericDate (RFC 7519 §2): a JSON number from 0 to the end of
// the year 9999, fractions cut off. Absent is the zero time.
func (c Claims) Time(name string) (time.Time, error) {
	raw := c.Raw(name)
	if raw == nil {
		return time.Time{}, nil
	}
	// The scanner has checked the grammar, so a number begins with a digit or
	// with the minus that a date may not have.
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || raw[0] < '0' || raw[0] > '9' || seconds > latest {
		return time.Time{}, fmt.Errorf("%w: %s is not a date", ErrClaim, name)
	}
	return time.Unix(int64(seconds), 0), nil
}

// Decode reads the whole claims set into a struct or map. Names are matched
// exactly: "Tenant" never fills a field named `json:"tenant"` (C40).
func (c Claims) Decode(into any) error {
	if err := exact.Unmarshal(c.payload, into); err != nil {
		return fmt.Errorf("%w: %w", ErrClaim, err)
	}
	return nil
}

// Expect is what an acceptor demands; every field but Leeway is required.
type Expect struct {
	Type     string // normalised, such as "at+jwt"
	Issuer   string
	Audience string
	Now      time.Time
	Leeway   time.Duration // for clocks that differ
}

// Check compares a token with what is expected, in this order: type, issuer,
// audience, exp, nbf, iat. exp is required; issuer and audience are compared
// byte for byte (RFC 7519 §4.1.1, §4.1.3). An Expect that demands too little
// accepts nothing.
func (e Expect) Check(t Token, c Claims) error {
	switch {
	case e.Type == "" || e.Issuer == "" || e.Audience == "" || e.Now.IsZero():
		return fmt.Errorf("%w: the acceptor does not say what it expects", ErrClaim)
	case t.kind != e.Type:
		return fmt.Errorf("%w: got %s, want %s", ErrType, clip(t.kind), e.Type)
	case c.Issuer != e.Issuer:
		return fmt.Errorf("%w: got %s, want %s", ErrIssuer, clip(c.Issuer), e.Issuer)
	case !slices.Contains(c.Audience, e.Audience):
		return fmt.Errorf("%w: got %s, want %s", ErrAudience, clip(fmt.Sprint(c.Audience)), e.Audience)
	}
	return e.checkTimes(c)
}

func (e Expect) checkTimes(c Claims) error {
	switch {
	case !c.Has("exp"):
		return fmt.Errorf("%w: exp is missing", ErrClaim)
	case !e.Now.Before(c.Expires.Add(e.Leeway)):
		return fmt.Errorf("%w: at %s, now %s", ErrExpired, c.Expires.UTC().Format(time.RFC3339), e.Now.UTC().Format(time.RFC3339))
	case c.NotBefore.After(e.Now.Add(e.Leeway)):
		return fmt.Errorf("%w: nbf %s", ErrNotYet, c.NotBefore.UTC().Format(time.RFC3339))
	case c.IssuedAt.After(e.Now.Add(e.Leeway)):
		return fmt.Errorf("%w: iat %s", ErrNotYet, c.IssuedAt.UTC().Format(time.RFC3339))
	}
	return nil
}
