# Developing kmsfs. `make help` lists the targets.

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-builtin-rules

GO       ?= go
FUZZTIME ?= 10s
TIMEOUT  ?= 20m

# The version is stamped through -ldflags, from git where there is one, so go
# itself need not ask git: that fails in some checkouts (owned by another user).
export GOFLAGS := $(strip $(shell $(GO) env GOFLAGS) -buildvcs=false)
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT   ?= $(shell git rev-parse --verify -q HEAD 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build ./kmsfs, static
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o kmsfs ./cmd/kmsfs

.PHONY: demo
demo: build ## mount, write, show the ciphertext, rotate, rewrap, unmount
	./tests/demo.sh

.PHONY: deps
deps: ## install, or name, what the tests need besides Go
	./tests/install-deps.sh

# fips140=only makes a cipher outside FIPS 140-3 panic. It reaches the test
# binaries through -exec, because go's own tools need not run under it.
.PHONY: test
test: deps build lint ## everything that must pass before a commit
	./tests/no-leftover-mounts.sh $(GO) test -count=1 -timeout $(TIMEOUT) ./...
	$(GO) test -count=1 -timeout $(TIMEOUT) -exec 'env GODEBUG=fips140=only' ./envelope
	$(GO) test -count=1 -timeout $(TIMEOUT) -exec 'env GODEBUG=fips140=on' ./envelope ./kmsclient/...

# The KMS against the clients that people have; not a part of test, for it takes
# minutes and needs the network the first time.
.PHONY: clients
clients: ## aws, boto3, SDKs and SOPS against kmsfs kms serve
	./tests/install-deps.sh clients
	./tests/clients/prepare.sh
	$(GO) vet -tags clients ./tests/clients
	$(GO) tool staticcheck -tags clients ./tests/clients
	$(GO) test -tags clients -count=1 -timeout $(TIMEOUT) ./tests/clients

# One server killed again and again under 64 clients; not a part of test, which
# has a short run of it. KILLSEED=N repeats the choices of a run.
KILLFOR  ?= 10m
KILLSEED ?= 0
.PHONY: kms-kill
kms-kill: ## kill the KMS server for KILLFOR=10m, nothing answered may be lost
	$(GO) test -count=1 -timeout 2h -run '^TestServerKilled$$' -v ./tests \
	  -kms-kill $(KILLFOR) -kms-clients 64 -kms-seed $(KILLSEED)

.PHONY: race
race: deps ## the tests under the race detector (needs a C compiler)
	@cc=$$($(GO) env CC); command -v "$${cc%% *}" >/dev/null || \
	  { echo "make race: the race detector needs a C compiler, and there is no $$cc: install gcc" >&2; exit 1; }
	CGO_ENABLED=1 ./tests/no-leftover-mounts.sh $(GO) test -race -count=1 -timeout $(TIMEOUT) ./...

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || \
	  { echo "not formatted, run gofmt -w:" $$unformatted >&2; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME=10s each
	@$(GO) test -list '^Fuzz' ./... | \
	  awk '/^Fuzz/ { name[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print $$2, name[i]; n = 0 }' | \
	  while read -r pkg name; do \
	    echo "== $$pkg $$name"; \
	    $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$pkg" </dev/null; \
	  done

.PHONY: bench
bench: ## benchmarks of envelope, file system and KMS
	$(GO) test -bench . -benchmem -run '^$$' ./envelope ./fs/... ./kmsclient/...

.PHONY: vectors
vectors: ## check the format against its test vectors, case by case
	$(GO) test -count=1 -run Vectors -v ./envelope

.PHONY: vulncheck
vulncheck: ## known vulnerabilities in what kmsfs imports (needs the network)
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

.PHONY: ci
ci: ## what continuous integration runs
	.ci/run

# A demo that was interrupted may have left its mount below ./demo, and rm would
# go through it.
.PHONY: clean
clean: ## remove what the other targets made
	@if grep -F ' $(CURDIR)/demo/' /proc/self/mounts; then \
	  echo "make clean: still mounted, run kmsfs umount" >&2; exit 1; fi
	rm -rf kmsfs bin demo coverage coverage.* cover.*
	find . -name '*.test' -type f -delete
