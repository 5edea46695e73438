package follow_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/follow"
)

// asking is a follower that may ask, and how its questions are answered.
func asking(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) (*house, *follow.Follower) {
	h := newHouse(t)
	h.introspect = answer
	c := h.config()
	c.Reader = follow.Reader{ClientID: "orders", ClientSecret: "secret"}
	f, err := follow.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	p := h.places()
	p.Introspection = h.url() + "/introspect"
	f.Found(p)
	return h, f
}

func says(body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) }
}

func TestRFC7662Introspection(t *testing.T) {
	for name, tc := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		active bool
		err    bool
	}{
		"active":            {says(`{"active":true,"sub":"x"}`), true, false},
		"inactive":          {says(`{"active":false}`), false, false},
		"no word":           {says(`{"sub":"x"}`), false, true},
		"a word":            {says(`{"active":"true"}`), false, true},
		"null":              {says(`{"active":null}`), false, true},
		"a page":            {says(`<html>`), false, true},
		"nothing":           {says(``), false, true},
		"a giant":           {says(`{"active":true,"x":"` + strings.Repeat("x", 1<<20) + `"}`), false, true},
		"not authenticated": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, false, true},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
		}, false, true},
		"hanging": {func(_ http.ResponseWriter, r *http.Request) { r.ParseForm(); <-r.Context().Done() }, false, true},
		"as the RFC says": {func(w http.ResponseWriter, r *http.Request) {
			id, secret, _ := r.BasicAuth()
			if r.Method != http.MethodPost || r.PostFormValue("token") != "a.b.c" || r.PostFormValue("token_type_hint") != "access_token" || id != "orders" || secret != "secret" {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			says(`{"active":true}`)(w, r)
		}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, f := asking(t, tc.answer)
				begun := time.Now()
				active, err := f.Ask(t.Context(), "a.b.c")
				if active != tc.active || (err != nil) != tc.err || err != nil && !errors.Is(err, follow.ErrUnknown) {
					t.Errorf("got %v %v", active, err)
				}
				if late := time.Since(begun); late > 4*time.Second {
					t.Errorf("after %s", late)
				}
			})
		})
	}
}

func TestIntrospectionIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var questions atomic.Int64
		_, f := asking(t, func(w http.ResponseWriter, r *http.Request) {
			questions.Add(1)
			time.Sleep(100 * time.Millisecond)
			says(`{"active":true}`)(w, r)
		})
		ask := func(token string) error { _, err := f.Ask(t.Context(), token); return err }
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if err := ask("same"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		ask("same")
		if n := questions.Load(); n != 1 {
			t.Errorf("%d questions about one token", n)
		}
		time.Sleep(1100 * time.Millisecond)
		ask("same")
		if n := questions.Load(); n != 2 {
			t.Errorf("%d questions after the answer is old", n)
		}
		var refused atomic.Int64
		for n := range 200 {
			all.Go(func() {
				if ask(fmt.Sprint(n)) != nil {
					refused.Add(1)
				}
			})
		}
		all.Wait()
		if n := refused.Load(); n != 200-64 {
			t.Errorf("%d of 200 questions at once were not asked", n)
		}
	})
}

func TestIntrospectionOfAnIssuerThatIsDownCostsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var questions atomic.Int64
		_, f := asking(t, func(w http.ResponseWriter, _ *http.Request) {
			questions.Add(1)
			w.WriteHeader(http.StatusBadGateway)
		})
		for n := range 100 {
			if _, err := f.Ask(t.Context(), fmt.Sprint(n)); !errors.Is(err, follow.ErrUnknown) {
				t.Fatal(err)
			}
		}
		if n := questions.Load(); n != 1 {
			t.Errorf("%d questions", n)
		}
		time.Sleep(1100 * time.Millisecond)
		f.Ask(t.Context(), "x")
		if n := questions.Load(); n != 2 {
			t.Errorf("%d questions a second later", n)
		}
	})
}

// A caller that gives up does not end the question for the others.
func TestIntrospectionOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, f := asking(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			says(`{"active":true}`)(w, r)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		done := make(chan bool, 1)
		go func() {
			time.Sleep(50 * time.Millisecond)
			active, _ := f.Ask(context.Background(), "x")
			done <- active
		}()
		if _, err := f.Ask(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if !<-done {
			t.Error("the other caller got nothing")
		}
	})
}

func TestWithoutACredentialNobodyIsAsked(t *testing.T) {
	h := newHouse(t)
	f := h.follower()
	if f.CanAsk() {
		t.Error("it could ask")
	}
	if _, err := f.Ask(t.Context(), "x"); !errors.Is(err, follow.ErrUnknown) {
		t.Error(err)
	}
}
