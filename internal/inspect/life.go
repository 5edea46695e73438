package inspect

import "time"

// Life is from when until when a token is good, as it says itself.
type Life struct {
	Issued  *time.Time `json:"issued,omitempty"`
	Begins  *time.Time `json:"begins,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	State   string     `json:"state"`             // live, expired, not_yet, endless, unknown
	Seconds int64      `json:"seconds,omitempty"` // from its beginning to its end
	Left    int64      `json:"left,omitempty"`    // seconds; negative: since its end
	Text    string     `json:"text"`
}

func (t *parsed) life(now time.Time) Life {
	pick := func(name string) *time.Time {
		if at, ok := t.date(name); ok {
			return &at
		}
		return nil
	}
	l := Life{Issued: pick("iat"), Begins: pick("nbf"), Expires: pick("exp"), State: "live"}
	from := l.Begins
	if from == nil {
		from = l.Issued
	}
	if l.Expires == nil {
		l.State, l.Text = "endless", "it never expires: there is no exp"
		if t.payload.fault != "" {
			l.State, l.Text = "unknown", "not known: the payload cannot be read to its end"
		} else if t.payload.has("exp") {
			l.State, l.Text = "unknown", "its exp is no date"
		}
		return l
	}
	left := l.Expires.Sub(now)
	l.Left = int64(left / time.Second)
	whole := ""
	if from != nil && l.Expires.After(*from) {
		l.Seconds = int64(l.Expires.Sub(*from) / time.Second)
		whole = " of " + span(l.Expires.Sub(*from))
	}
	switch {
	case left <= 0:
		l.State, l.Text = "expired", "expired "+span(-left)+" ago"
		if l.Seconds > 0 {
			l.Text += ", after " + span(l.Expires.Sub(*from))
		}
	case l.Begins != nil && l.Begins.After(now):
		l.State, l.Text = "not_yet", "begins in "+span(l.Begins.Sub(now))
	case l.Begins == nil && l.Issued != nil && l.Issued.After(now.Add(time.Minute)):
		l.State, l.Text = "not_yet", "is issued in "+span(l.Issued.Sub(now))
	default:
		l.Text = span(left) + " left" + whole
	}
	return l
}

// Fraction is how much of the life is over, from 0 to 1; ok is false where its
// beginning or its end is not known.
func (l Life) Fraction() (over float64, ok bool) {
	if l.Seconds <= 0 {
		return 0, false
	}
	return min(max(1-float64(l.Left)/float64(l.Seconds), 0), 1), true
}
