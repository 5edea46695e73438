package attack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

func unmarshal(data []byte, into any) error { return json.Unmarshal(data, into) }

// Published is an issuer's key set as it was found.
type Published struct {
	Keys     jose.KeySet
	Document []byte // as served; nil when it came from elsewhere
	From     string // where it was found
}

// FetchKeys reads the key set at an address.
func FetchKeys(ctx context.Context, address string) (Published, error) {
	body, err := fetch(ctx, address)
	if err != nil {
		return Published{}, err
	}
	set, _, err := jose.ParseKeySet(body)
	if err != nil {
		return Published{}, fmt.Errorf("read %s: %w", bare(address), err)
	}
	return Published{Keys: set, Document: body, From: bare(address)}, nil
}

// DiscoverKeys finds the key set of an issuer by its metadata (RFC 8414, OpenID
// Connect Discovery).
func DiscoverKeys(ctx context.Context, issuer string) (Published, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return Published{}, fmt.Errorf("the issuer %q is no URL, so its keys cannot be discovered", issuer)
	}
	path := strings.TrimSuffix(u.Path, "/")
	var failed error
	for _, place := range []string{path + "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server" + path, path + "/.well-known/jwks.json"} {
		at := url.URL{Scheme: u.Scheme, Host: u.Host, Path: place}
		body, err := fetch(ctx, at.String())
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		var document struct {
			Keys string `json:"jwks_uri"`
		}
		if json.Unmarshal(body, &document) == nil && document.Keys != "" {
			return FetchKeys(ctx, document.Keys)
		}
		if set, _, err := jose.ParseKeySet(body); err == nil {
			return Published{Keys: set, Document: body, From: bare(at.String())}, nil
		}
	}
	return Published{}, fmt.Errorf("no keys at the issuer %s: %w", bare(issuer), failed)
}

func fetch(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %s", bare(address), cause(err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", bare(address), response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, jose.MaxKeySetBytes))
}

// TokenEndpoint finds where an issuer gives tokens out.
func TokenEndpoint(ctx context.Context, issuer string) (string, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("the issuer %q is no URL", issuer)
	}
	path := strings.TrimSuffix(u.Path, "/")
	var failed error
	for _, place := range []string{path + "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server" + path} {
		at := url.URL{Scheme: u.Scheme, Host: u.Host, Path: place}
		body, err := fetch(ctx, at.String())
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		var document struct {
			Endpoint string `json:"token_endpoint"`
		}
		if json.Unmarshal(body, &document) == nil && document.Endpoint != "" {
			return document.Endpoint, nil
		}
	}
	return "", fmt.Errorf("%w: no token endpoint at the issuer %s: %w", ErrUnreachable, bare(issuer), failed)
}

// IssuerOf is the `iss` of a token, unverified; "" for none.
func IssuerOf(raw string) string {
	token, err := jose.Parse(raw)
	if err != nil {
		return ""
	}
	return text(claimsOf(token)["iss"])
}

// AlgorithmOf is the `alg` of a token, unverified; "" for what is no token.
func AlgorithmOf(raw string) jose.Algorithm { return algorithmOf(raw) }

// ClaimsOf are the claims of a token, unverified.
func ClaimsOf(raw string) (map[string]any, error) {
	token, err := jose.Parse(raw)
	if err != nil {
		return nil, err
	}
	return claimsOf(token), nil
}
