package jwks

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// maxDocumentBytes bounds a discovery document.
const maxDocumentBytes = 64 << 10

// load does discovery, if the address of the keys is not configured, and
// fetches the key set.
func (c *Cache) load(ctx context.Context) (*Snapshot, error) {
	address, generation := c.keysURL, c.epoch.Load()
	var metadata *Metadata
	if address == "" {
		var err error
		if address, metadata, err = c.discover(ctx); err != nil {
			return nil, err
		}
		c.told(*metadata)
	}
	body, header, err := c.get(ctx, address, jose.MaxKeySetBytes)
	if err != nil {
		return nil, err
	}
	set, skipped, err := jose.ParseKeySet(body)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", address, err)
	}
	for _, reason := range skipped {
		c.logger.Debug("issuer key skipped", "issuer", c.issuer, "cause", reason)
	}
	if set.Len() == 0 {
		return nil, fmt.Errorf("read %s: no usable key", address)
	}
	return &Snapshot{Keys: set, Fetched: c.now(), ttl: lifetime(header), generation: generation, metadata: metadata}, nil
}

// discover reads the metadata of RFC 8414, or of OpenID Connect where there is
// none. The issuer in it must be byte for byte ours (RFC 8414 §3.3), and the
// keys must be of its origin (C34).
func (c *Cache) discover(ctx context.Context) (string, *Metadata, error) {
	inserted, appended, err := metadataURLs(c.issuer)
	if err != nil {
		return "", nil, err
	}
	var document struct {
		Issuer        string `json:"issuer"`
		Keys          string `json:"jwks_uri"`
		Feed          any    `json:"revocation_feed_endpoint"`
		FeedKeys      any    `json:"revocation_feed_jwks_uri"`
		Introspection any    `json:"introspection_endpoint"`
	}
	body, _, err := c.get(ctx, inserted, maxDocumentBytes)
	if err != nil {
		if body, _, err = c.get(ctx, appended, maxDocumentBytes); err != nil {
			return "", nil, err
		}
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return "", nil, fmt.Errorf("read the metadata of %s: %w", c.issuer, err)
	}
	if document.Issuer != c.issuer {
		return "", nil, fmt.Errorf("the metadata at %s is of the issuer %q", c.issuer, document.Issuer)
	}
	want, err := origin(c.issuer)
	if err != nil {
		return "", nil, err
	}
	if got, err := origin(document.Keys); err != nil || got != want {
		return "", nil, fmt.Errorf("jwks_uri %q is not of the issuer's origin %s; set KeysURL if it is meant", document.Keys, want)
	}
	return document.Keys, &Metadata{Feed: text(document.Feed), FeedKeys: text(document.FeedKeys), Introspection: text(document.Introspection)}, nil
}

// text is a member that is text; another type must not cost the keys.
func text(member any) string {
	s, _ := member.(string)
	return s
}

// metadataURLs are the two forms: well-known inserted before the path
// (RFC 8414 §3.1), and appended (OpenID Connect Discovery §4).
func metadataURLs(issuer string) (inserted, appended string, err error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return "", "", fmt.Errorf("issuer %q: %w", issuer, err)
	}
	path := strings.TrimSuffix(u.Path, "/")
	inserted = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/.well-known/oauth-authorization-server" + path}).String()
	appended = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: path + "/.well-known/openid-configuration"}).String()
	return inserted, appended, nil
}

// get fetches a document of at most limit bytes.
func (c *Cache) get(ctx context.Context, address string, limit int64) ([]byte, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Accept", "application/json")
	if c.epoch.Load() > 0 {
		request.Header.Set("Cache-Control", "no-cache") // a cache may still have the keys that were taken back
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answered %s", address, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", address, err)
	}
	if int64(len(body)) > limit {
		return nil, nil, fmt.Errorf("%s is larger than %d bytes", address, limit)
	}
	return body, response.Header, nil
}

// lifetime reads max-age of Cache-Control, within bounds.
func lifetime(h http.Header) time.Duration {
	for _, directive := range strings.Split(h.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if seconds, err := strconv.Atoi(value); err == nil && strings.EqualFold(name, "max-age") {
			return min(max(time.Duration(min(seconds, 86400))*time.Second, minTTL), maxTTL)
		}
	}
	return defaultTTL
}
