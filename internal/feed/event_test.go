package feed_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
)

func TestEventsReadBack(t *testing.T) {
	want := []feed.Event{{ID: "7", Name: "delta", Data: "a.b.c"}, {Name: "heartbeat", Data: "d"}}
	var stream []byte
	for _, e := range want {
		stream = e.Append(stream)
	}
	events := feed.NewEvents(bytes.NewReader(stream))
	for _, w := range want {
		if got, err := events.Next(); err != nil || got != w {
			t.Errorf("got %+v, %v, want %+v", got, err, w)
		}
	}
	if _, err := events.Next(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestEventsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		stream string
		want   error
	}{
		"comments and unknown fields": {": hello\nretry: 100\nfoo\nevent: delta\ndata: x\n\n", nil},
		"no space after the colon":    {"event:delta\ndata:x\n\n", nil},
		"an event without data first": {"event: other\n\nevent: delta\ndata: x\n\n", nil},
		"cut in the midst":            {"event: delta\ndata: x\n", io.EOF},
		"two lines of data":           {"event: delta\ndata: x\ndata: y\n\n", feed.ErrForeign},
		"carriage returns":            {"event: delta\r\ndata: x\r\n\r\n", feed.ErrForeign},
		"a line without end":          {"data: " + strings.Repeat("x", 1<<20), feed.ErrForeign},
		"comments without end":        {strings.Repeat(":\n", 100), feed.ErrForeign},
		"empty lines without end":     {strings.Repeat("\n", 100), feed.ErrForeign},
	} {
		e, err := feed.NewEvents(strings.NewReader(tc.stream)).Next()
		if !errors.Is(err, tc.want) || tc.want == nil && (err != nil || e.Name != "delta" || e.Data != "x") {
			t.Errorf("%s: got %+v, %v, want %v", name, e, err, tc.want)
		}
	}
}
