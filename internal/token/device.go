package token

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// DeviceResponse is the answer of RFC 8628 §3.2.
type DeviceResponse struct {
	DeviceCode              string `json:"device_code"`
	UserCode                string `json:"user_code"`
	VerificationURI         string `json:"verification_uri"`
	VerificationURIComplete string `json:"verification_uri_complete"`
	ExpiresIn               int64  `json:"expires_in"` // seconds
	Interval                int64  `json:"interval"`   // seconds
}

// StartDevice begins a login on a device without a browser (RFC 8628 §3.1).
// network is where the request came from.
func (s *Service) StartDevice(ctx context.Context, client iam.Client, network string, form oauth.Form) (DeviceResponse, error) {
	if !client.Uses(iam.DeviceCode) {
		return DeviceResponse{}, oauth.Refuse(oauth.CodeUnauthorizedClient, "This client may not use the device flow. Allow it with: gatehouse client edit %s --device", client.ID)
	}
	scopes, err := oauth.ParseScope(form.Get("scope"))
	if err != nil {
		return DeviceResponse{}, err
	}
	resource, err := oauth.ParseResource(form)
	if err != nil {
		return DeviceResponse{}, err
	}
	granted, err := s.decide(ctx, client, nil, iam.Asked{Scopes: scopes, Resource: resource})
	if err != nil {
		return DeviceResponse{}, err
	}
	now := s.now()
	code := rand.Text() + rand.Text()
	d := iam.Device{CodeHash: digest(code), ClientID: client.ID, Scopes: granted.Standing, Resource: resource, State: iam.DevicePending, Network: strangers(client, network), CreatedAt: now, Expires: now.Add(iam.DeviceLife)}
	for range attempts {
		d.UserCode = iam.NewUserCode()
		if err = s.requests.PutDevice(ctx, d); !errors.Is(err, iam.ErrExists) {
			break
		}
	}
	if errors.Is(err, iam.ErrConflict) {
		return DeviceResponse{}, oauth.Refuse(oauth.CodeTemporarilyUnavailable, "Too many requests of this client are waiting. Try again in a moment.")
	}
	if err != nil {
		return DeviceResponse{}, fmt.Errorf("keep device request: %w", err)
	}
	page := s.issuer + "/device"
	return DeviceResponse{DeviceCode: code, UserCode: d.UserCode, VerificationURI: page, VerificationURIComplete: page + "?user_code=" + url.QueryEscape(d.UserCode),
		ExpiresIn: int64(iam.DeviceLife / time.Second), Interval: int64(iam.DeviceInterval / time.Second)}, nil
}

// FindDevice finds the request that a person typed the code of, while it
// waits. iam.ErrNotFound: there is none.
func (s *Service) FindDevice(ctx context.Context, typed string) (iam.Device, iam.Client, error) {
	code, ok := iam.CanonicalUserCode(typed)
	if !ok {
		return iam.Device{}, iam.Client{}, iam.ErrNotFound
	}
	d, err := s.requests.DeviceByUserCode(ctx, code)
	if err != nil {
		return iam.Device{}, iam.Client{}, err
	}
	client, err := s.people.Client(ctx, d.ClientID)
	if err == nil && client.Disabled {
		err = iam.ErrNotFound
	}
	return d, client, err
}

// DecideDevice writes what the user said about a request, if it still waits.
// False: it does not.
func (s *Service) DecideDevice(ctx context.Context, d iam.Device, client iam.Client, session iam.Session, user iam.User, allow bool) (bool, error) {
	event := iam.Event{ID: iam.NewEventID(), Kind: iam.EventDeviceDenied, Actor: string(user.ID), UserID: user.ID, ClientID: client.ID}
	d.State = iam.DeviceDenied
	if allow {
		event.Kind, d.State = iam.EventDeviceAllowed, iam.DeviceAllowed
		event.Detail = map[string]string{"scope": oauth.JoinScope(d.Scopes)}
	}
	d.UserID, d.SessionID, d.AuthTime, d.ACR, d.AMR = user.ID, session.ID, session.AuthTime, session.ACR, session.AMR
	d.UserEpoch, d.ClientEpoch = user.Epoch, client.Epoch
	ok, err := s.requests.DecideDevice(ctx, d, event)
	if err != nil {
		return false, fmt.Errorf("decide device request: %w", err)
	}
	return ok, nil
}

var errDevice = oauth.Refuse(oauth.CodeExpiredToken, "The device code has expired or was used. Begin again.")

// RedeemDevice answers a poll of the token endpoint (RFC 8628 §3.4 and §3.5).
func (s *Service) RedeemDevice(ctx context.Context, client iam.Client, r oauth.TokenRequest) (oauth.TokenResponse, error) {
	if !client.Uses(iam.DeviceCode) {
		return oauth.TokenResponse{}, oauth.Refuse(oauth.CodeUnauthorizedClient, "This client may not use the device flow.")
	}
	if len(r.DeviceCode) > 128 {
		return oauth.TokenResponse{}, errDevice
	}
	hash := digest(r.DeviceCode)
	d, outcome, err := s.requests.PollDevice(ctx, iam.DevicePoll{CodeHash: hash, Client: client.ID})
	if err != nil {
		return oauth.TokenResponse{}, fmt.Errorf("poll device request: %w", err)
	}
	switch outcome {
	case iam.DeviceReady:
		return s.redeemDevice(ctx, client, d, hash)
	case iam.DeviceWaits:
		return oauth.TokenResponse{}, oauth.Refuse(oauth.CodeAuthorizationPending, "The user has not answered yet.")
	case iam.DeviceTooFast:
		return oauth.TokenResponse{}, oauth.Refuse(oauth.CodeSlowDown, "This is too often. Wait five seconds longer between two requests from now on.")
	case iam.DeviceRefused:
		return oauth.TokenResponse{}, oauth.Refuse(oauth.CodeAccessDenied, "The user refused.")
	}
	return oauth.TokenResponse{}, errDevice
}

func (s *Service) redeemDevice(ctx context.Context, client iam.Client, d iam.Device, hash string) (oauth.TokenResponse, error) {
	user, err := s.liveUser(ctx, d.UserID)
	if err != nil {
		return oauth.TokenResponse{}, err
	}
	granted, err := s.decide(ctx, client, user.Roles, iam.Asked{Scopes: d.Scopes, Granted: true, Resource: d.Resource})
	if err != nil {
		return oauth.TokenResponse{}, err
	}
	// The device is not the browser in which the user answered: it has a session
	// of its own, so that a logout there does not end it here.
	c := code{User: d.UserID, Scopes: d.Scopes, Resource: d.Resource, AuthTime: d.AuthTime.Unix(), ACR: d.ACR, AMR: d.AMR}
	grant, session, err := s.newGrant(client, c, granted)
	if err != nil {
		return oauth.TokenResponse{}, err
	}
	a := access{id: iam.NewTokenID(), client: client, user: &user, grant: grant, granted: granted}
	redemption := iam.DeviceRedemption{CodeHash: hash, Redemption: iam.Redemption{
		Grant: grant, Session: session, UserEpoch: d.UserEpoch, ClientEpoch: d.ClientEpoch, Event: a.event(iam.EventDeviceRedeemed),
	}}
	outcome, err := s.grants.RedeemDevice(ctx, redemption)
	if err != nil && ctx.Err() == nil {
		outcome, err = s.grants.RedeemDevice(ctx, redemption) // the commit may have happened: our own grant id says so
	}
	if err != nil {
		return oauth.TokenResponse{}, fmt.Errorf("redeem device code: %w", err)
	}
	if outcome != iam.Redeemed {
		return oauth.TokenResponse{}, errDevice.Because(fmt.Errorf("device code of client %s: outcome %d", client.ID, outcome))
	}
	return s.signWithRefresh(ctx, a)
}
