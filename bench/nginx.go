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

// nginxConfig is one process, so that its CPU time can be read, with connections
// kept to both servers behind it.
const nginxConfig = `daemon off;
master_process off;
pid DIR/nginx.pid;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path DIR/body;
    proxy_temp_path       DIR/proxy;
    fastcgi_temp_path     DIR/fastcgi;
    uwsgi_temp_path       DIR/uwsgi;
    scgi_temp_path        DIR/scgi;
    keepalive_requests 10000000;
    upstream api  { server API;  keepalive 512; keepalive_requests 10000000; }
    upstream gate { server GATE; keepalive 512; keepalive_requests 10000000; }
    proxy_http_version 1.1;
    server {
        listen ADDRESS;
        location = /_gatehouse {
            internal;
            proxy_pass http://gate/forward-auth;
            proxy_pass_request_body off;
            proxy_set_header Connection "";
            proxy_set_header Content-Length "";
            proxy_set_header X-Original-Method $request_method;
            proxy_set_header X-Original-URI $request_uri;
        }
        location /bare { proxy_pass http://api; proxy_set_header Connection ""; }
        location / {
            auth_request /_gatehouse;
            auth_request_set $gatehouse_user $upstream_http_x_user_id;
            proxy_set_header Connection "";
            proxy_set_header X-User-Id $gatehouse_user;
            proxy_set_header Authorization "";
            proxy_pass http://api;
        }
    }
}
`

// nginxRows are nginx before the upstream, without a question and with one to
// our forward-auth for each request; none where nginx is not installed. The CPU
// is nginx's own: add that of forward-auth.
func nginxRows(upstream, issuer string, tokens []string) (rows []*row, stop func(), err error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		fmt.Println("NOT RUN: nginx auth_request: nginx is not installed (Debian: apt-get install nginx)")
		return nil, func() {}, nil
	}
	gate, _, stopGate, err := self("forward-auth", upstream, issuer)
	if err != nil {
		return nil, nil, err
	}
	address, pid, stopNginx, err := startNginx(program, upstream, gate)
	if err != nil {
		stopGate()
		return nil, nil, err
	}
	stop = func() { stopNginx(); stopGate() }
	return []*row{
		{name: "nginx, bare hop", pid: pid, call: withTokens(address+"bare", tokens[:1])},
		{name: "nginx, asks forward-auth, one token", pid: pid, call: withTokens(address, tokens[:1])},
	}, stop, nil
}

func startNginx(program, upstream, gate string) (address string, pid int, stop func(), err error) {
	dir, err := os.MkdirTemp("", "gatehouse-bench-")
	if err != nil {
		return "", 0, nil, err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", 0, nil, err
	}
	at := l.Addr().String()
	l.Close()
	host := func(u string) string { return strings.Trim(strings.TrimPrefix(u, "http://"), "/") }
	file := filepath.Join(dir, "nginx.conf")
	text := strings.NewReplacer("DIR", dir, "ADDRESS", at, "API", host(upstream), "GATE", host(gate)).Replace(nginxConfig)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", 0, nil, err
	}
	var said bytes.Buffer
	c := exec.Command(program, "-c", file, "-p", dir, "-e", filepath.Join(dir, "error.log"))
	c.Stderr = &said
	if err := c.Start(); err != nil {
		return "", 0, nil, err
	}
	stop = func() { c.Process.Kill(); c.Wait(); os.RemoveAll(dir) }
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", at); err == nil {
			conn.Close()
			return "http://" + at + "/", c.Process.Pid, stop, nil
		}
	}
	stop()
	return "", 0, nil, errors.New("nginx does not listen: " + said.String())
}
