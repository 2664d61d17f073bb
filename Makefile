# What CI does, step by step: `make test` is all of it, in order. See CONTRIBUTING.md.

.DEFAULT_GOAL := build
.PHONY: setup build check test-go test-ts e2e test demo sizes screenshot bench-metadata

out := .cache
program := $(out)/planktos
# One end-to-end file, by the beginning of its name: make e2e ONLY=02
ONLY ?=
staticcheck := go tool -modfile=tools/go.mod staticcheck
tsc := node_modules/.bin/tsc
tsconfigs := $(wildcard browser/src/*/tsconfig.json) browser/tsconfig.test.json e2e/tsconfig.json
node-test := node --import tsx --test --test-reporter=spec

setup:
	scripts/setup.sh

build:
	@mkdir -p $(out)
	go build -o $(program) ./cmd/planktos

check:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	  [ -z "$$unformatted" ] || { echo "not formatted by gofmt: $$unformatted" >&2; exit 1; }
	go vet ./...
	$(staticcheck) ./...
	@set -e; for config in $(tsconfigs); do echo "tsc -p $$config"; $(tsc) -p $$config; done
	go test -run Layers .

test-go:
	go test -race ./...

test-ts:
	$(node-test) $$(git ls-files 'browser/**/*.test.ts')

# The browsers share this machine's cores: one file after the other.
e2e: build
	PLANKTOS_BIN=$(CURDIR)/$(program) $(node-test) --test-concurrency=1 e2e/$(ONLY)*.test.ts

test: setup build check test-go test-ts e2e

demo:
	go run ./cmd/planktos demo

sizes:
	@go test -count=1 -v -run TestRuntime ./internal/bundle | grep gzip

bench-metadata:
	go run ./bench/metadata

# The README's picture, as the end-to-end tests took it.
screenshot:
	$(MAKE) e2e ONLY=08-quickstart
	cp e2e/out/demo-light.png docs/demo.png
