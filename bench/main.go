// Command bench measures Gatehouse beside its peers and beside floors, all in
// one run. These machines are shared: trust the ratios, not single values.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	requests := flag.Int("requests", 6000, "client_credentials requests over HTTP")
	logins := flag.Int("logins", 40, "logins of each class")
	only := flag.String("only", "", "verify or http; both when empty")
	flag.Parse()
	if kind := os.Getenv(serverEnv); kind != "" {
		serveKind(kind, flag.Args())
	}
	if signOns(*requests) {
		return
	}
	if *only != "http" {
		fmt.Println("Verify, distinct tokens: parse, signature, claims")
		verify()
	}
	if *only == "verify" {
		return
	}
	if err := overHTTP(*requests, *logins); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
