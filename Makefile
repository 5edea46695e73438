# Gatehouse. `make` says what there is to do.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

FUZZTIME ?= 10m
# The packages whose tests run on the database that is asked for. Those of the
# store run on both by themselves, unless told to use SQLite only.
ON_POSTGRES := ./internal/keys ./internal/token ./internal/login ./internal/directory ./internal/api ./internal/web ./internal/server
# The tests of faults that FAULT_TIME makes longer.
LONG := ^(TestFault(Kill|Postgres)|TestC13History|TestFailover|TestPartition|TestAMillionUsersOnPostgres|TestCleanUpOnPostgres)$$
MODULES := . guard/guardgrpc e2e e2e/openid e2e/vectors e2e/targets bench interop

.PHONY: help
help: ## show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

.PHONY: run
run: ## start everything on this machine (gatehouse dev)
	go run ./cmd/gatehouse dev

.PHONY: build
build: ## build bin/gatehouse
	go build -trimpath -o bin/gatehouse ./cmd/gatehouse

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	@unformatted="$$(git ls-files '*.go' | xargs -r gofmt -l)"; if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	@for module in $(MODULES); do (cd $$module && echo "vet $$module" && go vet ./...); done
	cd tools && go build -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	bin/staticcheck ./...
	cd guard/guardgrpc && ../../bin/staticcheck ./...

.PHONY: check
check: lint ## lint and the tests of the product with the race detector (about 10 minutes on 2 cores)
	go test -race ./...

.PHONY: fuzz-short
fuzz-short: ## every fuzz target for a few seconds, counted in runs
	$(MAKE) --no-print-directory fuzz FUZZTIME=30000x

.PHONY: browser
browser: ## install what the browser tests need: Chromium (as root on Debian) and axe-core
	@command -v chromium chromium-browser google-chrome >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || echo "no Chromium: the browser tests will say that they did not run"
	@cmp -s e2e/package-lock.json e2e/node_modules/installed || { command -v npm >/dev/null && (cd e2e && npm ci --silent && cp package-lock.json node_modules/installed); } || echo "no axe-core: the browser tests will say that accessibility was not checked"

.PHONY: proxies
proxies: ## install the proxies that forward-auth is tested with (as root on Debian): nginx, HAProxy and Caddy
	@for p in nginx haproxy caddy; do command -v $$p >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$p >/dev/null; } || echo "NOT RUN: no $$p, its forward-auth tests are skipped"; done

# The packages' own services must not run: they would take ports 5432 and 6432.
# A policy that refuses to start them stands for as long as the installation.
.PHONY: databases
databases: ## install what the tests on PostgreSQL need (as root on Debian): PostgreSQL and PgBouncer
	@{ ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null; } && { command -v pgbouncer || ls /usr/sbin/pgbouncer; } >/dev/null 2>&1 || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && { \
		policy=/usr/sbin/policy-rc.d; [ -e $$policy ] || { printf '#!/bin/sh\nexit 101\n' >$$policy && chmod 755 $$policy && trap "rm -f $$policy" EXIT; }; \
		apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql pgbouncer >/dev/null; }; } || echo "NOT RUN: no PostgreSQL or no PgBouncer, the tests on them are skipped"

.PHONY: postgres
postgres: databases ## the tests that have a choice of database, on PostgreSQL
	@if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null; then \
		go test ./internal/store & store=$$!; GATEHOUSE_TEST_DATABASE=postgres go test $(ON_POSTGRES) && wait $$store; \
	else echo "NOT RUN: the tests on PostgreSQL"; fi

.PHONY: pictures
pictures: browser ## pictures of pages for docs/images
	cd e2e && go test -count=1 -run TestPicturesForTheDocumentation .
	@mkdir -p docs/images && for file in e2e/artefacts/docs-*.png; do cp "$$file" "docs/images/$$(basename "$$file" | sed s/^docs-//)"; done

.PHONY: test
test: lint browser proxies databases ## everything that CI runs (about 25 minutes on 2 cores)
	GATEHOUSE_TEST_DATABASE=sqlite go test -race ./internal/attack ./internal/api ./internal/store ./... # the longest first, so that others run beside them
	$(MAKE) --no-print-directory postgres
	$(MAKE) --no-print-directory fuzz-short
	cd guard/guardgrpc && go test -race ./...
	cd e2e/vectors && go test ./...
	cd bench && go test ./...
	cd e2e && go test -count=1 -timeout 20m # without a package, so that what was NOT RUN is printed
	$(MAKE) --no-print-directory interop
	$(MAKE) --no-print-directory -C e2e/targets test

.PHONY: test-long
test-long: test ## everything, with ten minutes of fuzzing for each target and of kills, and long faults of PostgreSQL
	cd e2e && FAULT_TIME=10m go test -count=1 -timeout 60m -v -run '$(LONG)' .
	$(MAKE) --no-print-directory fuzz

# Up to Go 1.26 a target whose time is up may fail with "context deadline
# exceeded" and no failing input (go.dev/issue/75804): that is no finding.
.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10m)
	@grep -rlE '^func Fuzz' --include='*_test.go' guard internal | xargs -r -n1 dirname | sort -u | while read -r dir; do \
		for target in $$(grep -rhoE '^func Fuzz[A-Za-z0-9_]+' $$dir | awk '{print $$2}' | sort -u); do \
			echo "fuzz $$dir $$target $(FUZZTIME)"; \
			log=$$(mktemp); \
			go test ./$$dir -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -timeout 0 -fuzzminimizetime 10x 2>&1 | tee $$log || \
				{ grep -q '^ *context deadline exceeded$$' $$log && ! grep -q 'Failing input' $$log; }; \
			rm $$log; \
		done; \
	done

.PHONY: interop
interop: ## our tokens and logins with the libraries of other languages (UPDATE=-update writes the docs)
	cd interop && go vet ./... && go test -count=1 -v -timeout 15m . $(UPDATE)

.PHONY: bench
bench: ## speed beside peers and floors, in one run
	cd bench && go run .

.PHONY: bench-peers
bench-peers: ## install the peers that make bench runs where they are there
	GOBIN="$$PWD/bin" go install github.com/oauth2-proxy/oauth2-proxy/v7@v7.15.6

.PHONY: differential
differential: ## every forged token and vector to us and to other libraries
	cd bench && go run ./differential
