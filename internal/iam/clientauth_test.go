package iam_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

func keySet(t *testing.T, list ...jose.JSONWebKey) []byte {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: list})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestC20RegisteredKeys(t *testing.T) {
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	strong, _ := rsa.GenerateKey(rand.Reader, 2048)
	odd := new(big.Int).SetBit(new(big.Int).Rsh(strong.N, 1024), 0, 1) // of 1024 bits
	small := jose.JSONWebKey{Key: &rsa.PublicKey{N: odd, E: strong.E}, Algorithm: "RS256"}
	public := func(kid string, key crypto.Signer, algorithm string) jose.JSONWebKey {
		return jose.JSONWebKey{Key: key.Public(), KeyID: kid, Algorithm: algorithm}
	}
	encryption := public("a", ec, "")
	encryption.Use = "enc"
	for _, tc := range []struct {
		name     string
		document []byte
		good     bool
	}{
		{"an EC key", keySet(t, public("a", ec, "ES256")), true},
		{"an RSA key of 2048 bits", keySet(t, public("", strong, "PS256")), true},
		{"two keys", keySet(t, public("a", ec, "ES256"), public("b", strong, "RS256")), true},
		{"no set", []byte("x"), false},
		{"one key instead of a set", must(json.Marshal(public("a", ec, "ES256"))), false},
		{"an empty set", []byte(`{"keys":[]}`), false},
		{"a private key", keySet(t, jose.JSONWebKey{Key: ec, KeyID: "a"}), false},
		{"a private RSA key", keySet(t, jose.JSONWebKey{Key: strong, KeyID: "a"}), false},
		{"a good and a private key", keySet(t, public("b", strong, "RS256"), jose.JSONWebKey{Key: ec, KeyID: "a"}), false},
		{"a secret", []byte(`{"keys":[{"kty":"oct","alg":"HS256","k":"` + strings.Repeat("A", 43) + `"}]}`), false},
		{"a symmetric algorithm on a public key", keySet(t, public("a", ec, "HS256")), false},
		{"an RSA key of 1024 bits", keySet(t, small), false},
		{"for encryption", keySet(t, encryption), false},
		{"an encryption algorithm", keySet(t, public("a", strong, "RSA-OAEP")), false},
		{"another curve's algorithm", keySet(t, public("a", ec, "ES384")), false},
		{"one kid for two keys", keySet(t, public("a", ec, "ES256"), public("a", other, "ES256")), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := iam.ParseClientKeys(tc.document)
			var invalid *iam.Invalid
			if tc.good != (err == nil) || err != nil && !errors.As(err, &invalid) {
				t.Errorf("got %v, want good %v", err, tc.good)
			}
		})
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestC20OneMethodAClient(t *testing.T) {
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	set, err := iam.ParseClientKeys(keySet(t, jose.JSONWebKey{Key: ec.Public(), KeyID: "a"}))
	if err != nil {
		t.Fatal(err)
	}
	hash := make([]byte, 32)
	for _, tc := range []struct {
		name   string
		client iam.Client
		good   bool
	}{
		{"public", iam.Client{Type: iam.Public}, true},
		{"a secret", iam.Client{Type: iam.Confidential, SecretHash: hash}, true},
		{"a secret, said", iam.Client{Type: iam.Service, Auth: iam.AuthSecret, SecretHash: hash, OldSecretHash: hash, OldSecretEnds: time.Now()}, true},
		{"keys", iam.Client{Type: iam.Service, Auth: iam.AuthKey, Keys: set}, true},
		{"an address", iam.Client{Type: iam.Confidential, Auth: iam.AuthKey, KeysURI: "https://c.example/jwks"}, true},
		{"keys and an address", iam.Client{Type: iam.Service, Auth: iam.AuthKey, Keys: set, KeysURI: "https://c.example/jwks"}, false},
		{"no keys", iam.Client{Type: iam.Service, Auth: iam.AuthKey}, false},
		{"keys and a secret", iam.Client{Type: iam.Service, Auth: iam.AuthKey, Keys: set, SecretHash: hash}, false},
		{"keys and an old secret", iam.Client{Type: iam.Service, Auth: iam.AuthKey, Keys: set, OldSecretHash: hash}, false},
		{"a secret and keys", iam.Client{Type: iam.Service, Auth: iam.AuthSecret, Keys: set, SecretHash: hash}, false},
		{"a secret and an address", iam.Client{Type: iam.Service, SecretHash: hash, KeysURI: "https://c.example"}, false},
		{"no secret", iam.Client{Type: iam.Confidential}, false},
		{"public with a secret", iam.Client{Type: iam.Public, SecretHash: hash}, false},
		{"public with keys", iam.Client{Type: iam.Public, Auth: iam.AuthKey, Keys: set}, false},
		{"public with keys and none", iam.Client{Type: iam.Public, Keys: set}, false},
		{"confidential with none", iam.Client{Type: iam.Confidential, Auth: iam.AuthNone}, false},
		{"a service account with none", iam.Client{Type: iam.Service, Auth: iam.AuthNone, SecretHash: hash}, false},
		{"client_secret_jwt", iam.Client{Type: iam.Service, Auth: "client_secret_jwt", SecretHash: hash}, false},
		{"a plain http address", iam.Client{Type: iam.Service, Auth: iam.AuthKey, KeysURI: "http://c.example/jwks"}, false},
		{"a file", iam.Client{Type: iam.Service, Auth: iam.AuthKey, KeysURI: "file:///etc/passwd"}, false},
		{"a user in the address", iam.Client{Type: iam.Service, Auth: iam.AuthKey, KeysURI: "https://u@c.example/jwks"}, false},
		{"a fragment in the address", iam.Client{Type: iam.Service, Auth: iam.AuthKey, KeysURI: "https://c.example/jwks#a"}, false},
		{"a relative address", iam.Client{Type: iam.Service, Auth: iam.AuthKey, KeysURI: "/jwks"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.client.ID = "c"
			if err := tc.client.Check(); tc.good != (err == nil) {
				t.Errorf("got %v, want good %v", err, tc.good)
			}
		})
	}
}

func TestSameProof(t *testing.T) {
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	set := func(key *ecdsa.PrivateKey) jose.JSONWebKey { return jose.JSONWebKey{Key: key.Public(), KeyID: "a"} }
	one, err1 := iam.ParseClientKeys(keySet(t, set(ec)))
	two, err2 := iam.ParseClientKeys(keySet(t, set(other)))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	secret := iam.Client{Type: iam.Service, SecretHash: []byte{1}}
	keys := iam.Client{Type: iam.Service, Auth: iam.AuthKey, Keys: one}
	address := iam.Client{Type: iam.Service, Auth: iam.AuthKey, KeysURI: "https://c.example/1"}
	for _, tc := range []struct {
		name  string
		a, b  iam.Client
		proof bool
	}{
		{"nothing changed", secret, secret, true},
		{"the method is said now", secret, iam.Client{Type: iam.Service, Auth: iam.AuthSecret, SecretHash: []byte{1}}, true},
		{"roles changed", keys, iam.Client{Type: iam.Service, Auth: iam.AuthKey, Keys: one, Roles: []string{"x"}, Epoch: 2}, true},
		{"another secret", secret, iam.Client{Type: iam.Service, SecretHash: []byte{2}}, false},
		{"no secret", secret, iam.Client{Type: iam.Service}, false},
		{"another method", secret, iam.Client{Type: iam.Service, Auth: iam.AuthKey, SecretHash: []byte{1}}, false},
		{"another key under the same id", keys, iam.Client{Type: iam.Service, Auth: iam.AuthKey, Keys: two}, false},
		{"no key", keys, iam.Client{Type: iam.Service, Auth: iam.AuthKey}, false},
		{"another address", address, iam.Client{Type: iam.Service, Auth: iam.AuthKey, KeysURI: "https://c.example/2"}, false},
	} {
		if got := tc.a.SameProof(tc.b); got != tc.proof {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.proof)
		}
	}
}

func TestC21Origins(t *testing.T) {
	for origin, good := range map[string]bool{
		"https://app.example.com": true, "https://app.example.com:8443": true, "http://localhost:3000": true, "http://127.0.0.1:3000": true,
		"http://[::1]:3000": true, "https://xn--bcher-kva.example": true, "http://localhost": true,
		"": false, "null": false, "*": false, "https://*": false, "https://*.example.com": false, "https://app.example.com/": false,
		"https://app.example.com/x": false, "https://app.example.com?": false, "https://app.example.com#": false, "https://App.example.com": false,
		"HTTPS://app.example.com": false, "https://app.example.com:443": false, "http://localhost:80": false, "https://app.example.com:": false,
		"http://app.example.com": false, "https://user@app.example.com": false, "app.example.com": false, "//app.example.com": false,
		"https://bücher.example": false, "https://a.example https://b.example": false, "https://a.example,https://b.example": false,
		"file://": false, "javascript://x": false, "https://": false, "https://a.example\r\nX: y": false, "https://a_b.example\x00": false,
		"https://" + strings.Repeat("a", 300) + ".example": false,
	} {
		if err := iam.CheckOrigin(origin); good != (err == nil) {
			t.Errorf("%q: got %v, want good %v", origin, err, good)
		}
	}
	c := iam.Client{ID: "c", Type: iam.Service, SecretHash: make([]byte, 32), Origins: []string{"https://a.example"}}
	if c.Check() == nil {
		t.Error("a service account has an origin")
	}
	c = iam.Client{ID: "c", Type: iam.Public, Origins: []string{"https://a.example"}}
	if c.Check() != nil || !c.MayRead("https://a.example") || c.MayRead("https://a.example.evil") || c.MayRead("") || (iam.Client{Origins: []string{""}}).MayRead("") {
		t.Error("exactly the registered origin may read")
	}
	c.Origins = make([]string, 33)
	for i := range c.Origins {
		c.Origins[i] = "https://a.example"
	}
	if c.Check() == nil {
		t.Error("33 origins")
	}
}
