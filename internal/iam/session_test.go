package iam_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// A visit is worth a write when it moves the idle end by more than iam.Slide;
// near the absolute end nothing is left to move.
func TestC12WhenAVisitExtendsASession(t *testing.T) {
	begin := time.Unix(1_800_000_000, 0)
	s := iam.Session{IdleExpires: begin.Add(iam.SessionIdle), Expires: begin.Add(iam.SessionAbsolute)}
	last := iam.Session{IdleExpires: s.Expires, Expires: s.Expires}
	for _, tc := range []struct {
		name    string
		session iam.Session
		after   time.Duration
		want    bool
	}{
		{"at once", s, 0, false},
		{"after five minutes", s, iam.Slide, false},
		{"a moment later", s, iam.Slide + 1, true},
		{"in the last twelve hours", last, iam.SessionAbsolute - time.Hour, false},
		{"in the last minute", last, iam.SessionAbsolute - time.Minute, false},
	} {
		if got := tc.session.Slides(begin.Add(tc.after)); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
