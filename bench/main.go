// Command bench measures Gatehouse beside its peers and beside floors, all in
// one run. These machines are shared: trust the ratios, not single values.
package main

import (
	"flag"
	"fmt"
	"os"
)

// rowName picks rows of what is measured over HTTP.
var rowName = flag.String("row", "", "over HTTP measure only rows whose name contains this, beside their floors")

func main() {
	requests := flag.Int("requests", 4000, "requests of each round over HTTP")
	logins := flag.Int("logins", 40, "logins of each class")
	only := flag.String("only", "", "verify, signon, gateway, database, feed, http or token (the token endpoint alone); all when empty")
	flag.Parse()
	if os.Getenv(floorEnv) != "" {
		serveSignOnFloor()
	}
	if kind := os.Getenv(serverEnv); kind != "" {
		serveKind(kind, flag.Args())
	}
	if *only == "" || *only == "signon" {
		signOns(*requests)
	}
	if *only == "" || *only == "verify" {
		fmt.Println("Verify, distinct tokens: parse, signature, claims")
		verify()
	}
	if *only == "" || *only == "gateway" {
		gateways(*requests)
	}
	if *only == "" || *only == "database" {
		if err := databases(); err != nil {
			fmt.Fprintln(os.Stderr, "bench: database:", err)
			os.Exit(1)
		}
	}
	if *only == "" || *only == "feed" {
		if err := feeds(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	}
	if *only == "feed" || *only == "verify" || *only == "signon" || *only == "gateway" || *only == "database" {
		return
	}
	if err := overHTTP(*requests, *logins, *only == "token"); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
