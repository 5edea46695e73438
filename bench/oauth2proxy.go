package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// oauth2ProxyAt is where the peer comes from; it is no part of any build.
const oauth2ProxyAt = "github.com/oauth2-proxy/oauth2-proxy/v7@v7.15.6"

// oauth2ProxyRows are oauth2-proxy before the upstream, which takes the same
// tokens without a login; none where it is not installed.
func oauth2ProxyRows(upstream, issuer string, tokens []string) (rows []*row, stop func(), err error) {
	program, err := exec.LookPath("oauth2-proxy")
	if err != nil {
		if program, err = filepath.Abs("../bin/oauth2-proxy"); err == nil {
			_, err = os.Stat(program)
		}
	}
	if err != nil {
		fmt.Println("NOT RUN: oauth2-proxy is not installed (GOBIN=$PWD/bin go install " + oauth2ProxyAt + ")")
		return nil, func() {}, nil
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	at := l.Addr().String()
	l.Close()
	var said bytes.Buffer
	c := exec.Command(program, "--http-address="+at, "--upstream="+upstream, "--provider=oidc", "--oidc-issuer-url="+issuer, "--skip-jwt-bearer-tokens",
		"--client-id="+gatewayAudience, "--client-secret=unused", "--cookie-secret="+strings.Repeat("x", 32), "--email-domain=*", "--oidc-email-claim=sub",
		"--insecure-oidc-allow-unverified-email", "--request-logging=false", "--auth-logging=false", "--standard-logging=false")
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		return nil, nil, err
	}
	stop = func() { c.Process.Kill(); c.Wait() }
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if conn, err := net.Dial("tcp", at); err == nil {
			conn.Close()
			return []*row{{name: "oauth2-proxy, one token", pid: c.Process.Pid, call: withTokens("http://"+at+"/", tokens[:1])}}, stop, nil
		}
	}
	stop()
	return nil, nil, errors.New("oauth2-proxy does not listen: " + said.String())
}
