package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"

	"github.com/gatehouse-auth/gatehouse/internal/dial"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/server"
)

// A device shows a code, and a person allows it: after a sign-in on the way,
// and in the language of their choice.
func TestDeviceInABrowser(t *testing.T) {
	d := startApps(t)
	defer d.stop(syscall.SIGINT)
	inEachWay(t, func(t *testing.T, b *tab, h hand, looks bool) {
		var device struct {
			DeviceCode string `json:"device_code"`
			UserCode   string `json:"user_code"`
			Complete   string `json:"verification_uri_complete"`
		}
		if status := postForm(t, d.Issuer+"/oauth/device_authorization", &device, "client_id", "demo-app", "scope", "openid orders:read"); status != 200 || device.UserCode == "" {
			t.Fatalf("%d %+v", status, device)
		}
		b.visit(device.Complete)
		b.arrives("Sign in")
		h.press("Deutsch")
		b.arrives("Anmelden")
		if lang := value[string](b, `document.documentElement.lang`); lang != "de" {
			t.Errorf("the page says it is %q", lang)
		}
		h.press("English")
		b.arrives("Sign in")
		h.fill("username", "ada")
		h.fill("password", d.password)
		h.press("Sign in")
		b.arrives("Connect a device")
		if looks {
			b.looked("device-code")
		}
		h.fill("user_code", "bcdf-ghjk")
		h.press("Continue")
		b.shows("That code didn't work.")
		h.fill("user_code", device.UserCode)
		h.press("Continue")
		b.arrives("Allow Demo app on your device?")
		b.shows(device.UserCode)
		if looks {
			b.looked("device-confirm")
		}
		poll := func() (status int, answer map[string]any) {
			status = postForm(t, d.Issuer+"/oauth/token", &answer, "client_id", "demo-app", "grant_type", "urn:ietf:params:oauth:grant-type:device_code", "device_code", device.DeviceCode)
			return status, answer
		}
		if status, answer := poll(); status != 400 || answer["error"] != "authorization_pending" {
			t.Errorf("before the decision: %d %v", status, answer)
		}
		h.press("Allow")
		b.arrives("Your device is connected")
		if looks {
			b.looked("device-done")
		}
		eventually(t, "the device has a token", func() bool { status, _ := poll(); return status == 200 })
	})
}

func postForm(t *testing.T, address string, into any, pairs ...string) int {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	response, err := http.PostForm(address, form)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode
}

// A page that was open too long, and one whose cookie is gone, come again with
// everything but the password kept, and work then. The clock is ours, so the
// server is in this process.
func TestC31ExpiredPageInABrowser(t *testing.T) {
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	loopback, err := server.ListenLoopback(0)
	if err != nil {
		t.Fatal(err)
	}
	issuer := "http://localhost:" + portOf(loopback)
	kek, _ := keys.GenerateKEK()
	parts, err := server.Assemble(t.Context(), server.Config{Issuer: issuer, Dir: t.TempDir(), KEKs: []keys.KEK{kek}, Outgoing: dial.Config{InsecureLoopback: true},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	defer parts.Close()
	const password = "lantern drawbridge moat"
	if _, err := parts.Directory.CreateUser(t.Context(), "test", iam.User{Username: "ada"}, password); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- parts.Run(t.Context(), loopback.Listeners...) }()
	inEachWay(t, func(t *testing.T, b *tab, h hand, looks bool) {
		b.visit(issuer + "/account")
		b.arrives("Sign in")
		for _, tc := range []struct {
			name  string
			spoil func()
			says  string
		}{
			{"login-expired", func() { ahead.Add(int64(61 * time.Minute)) }, "This page was open too long. Nothing was lost, try again."},
			{"login-no-cookie", func() { b.do(network.ClearBrowserCookies()) }, "Your browser sent no cookie"},
		} {
			tc.spoil()
			h.fill("username", "ada")
			h.fill("password", password)
			h.press("Sign in")
			b.shows(tc.says)
			if name := value[string](b, `document.querySelector('input[name=username]').value`); name != "ada" {
				t.Errorf("the username is now %q", name)
			}
			if looks {
				b.looked(tc.name)
			}
		}
		h.fill("password", password)
		h.press("Sign in")
		b.arrives("ada")
		b.shows("No app has access to your account.")
		if looks {
			b.looked("account")
		}
	})
	select {
	case err := <-done:
		t.Errorf("the server ended: %v", err)
	default:
	}
}

func portOf(l server.Loopback) string { return fmt.Sprint(l.Port) }
