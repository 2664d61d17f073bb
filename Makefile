# What CI does, step by step: `make test` is all of it, in order. See CONTRIBUTING.md.

.DEFAULT_GOAL := build
.PHONY: setup build check test-go test-ts e2e test demo sizes screenshot

out := .cache
program := $(out)/planktos
# One end-to-end file, by the beginning of its name: make e2e ONLY=02
ONLY ?=
# How many seconds make fuzz spends on each target.
FUZZTIME ?= 30
staticcheck := go tool -modfile=tools/go.mod staticcheck
tsc := node_modules/.bin/tsc
tsconfigs := $(wildcard browser/src/*/tsconfig*.json) browser/tsconfig.test.json e2e/tsconfig.json bench/tsconfig.json
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

# Most of these wait for clocks. A file that hangs is ended.
test-ts:
	$(node-test) --test-concurrency=4 --test-timeout=180000 $$(git ls-files 'browser/**/*.test.ts' 'bench/**/*.test.ts')

e2e: build
	PLANKTOS_BIN=$(CURDIR)/$(program) scripts/e2e.sh $(ONLY)

test: setup build check test-go test-ts e2e

demo:
	go run ./cmd/planktos demo

sizes:
	@go test -count=1 -v -run TestRuntime ./internal/bundle | grep gzip

bench-metadata:
	go run ./bench/metadata

bench-pack: build
	go run ./bench/pack -program $(CURDIR)/$(program) $(ARGS)

# docs/benchmarks.md tells what each measures. Options: make bench-crowd ARGS="--row crowd-offload --why"
ARGS ?=
bench := PLANKTOS_BIN=$(CURDIR)/$(program) node --import tsx
benches := bench-crowd bench-pages bench-return bench-release bench-peer bench-store bench-sim bench-outage bench-weather
.PHONY: bench-metadata bench-pack fuzz $(benches)
$(benches): build
	$(bench) bench/$(@:bench-%=%)/main.ts $(ARGS)

# Between peers without browsers, and to a browser.
.PHONY: bench-seed
bench-seed: build
	go test -run '^$$' -bench 'Transfer|Crowd' -benchtime 1x ./internal/swarm
	$(bench) bench/seed/main.ts $(ARGS)

# Random faults while visitors browse: make soak ARGS="--faults 1000 --seed 7"
.PHONY: soak
soak: build
	$(bench) bench/soak/main.ts $(ARGS)

# The README's picture, as the end-to-end tests took it.
screenshot:
	$(MAKE) e2e ONLY=08-quickstart
	cp e2e/out/demo-light.png docs/demo.png

# Every fuzz target of the Go packages and every property of the TypeScript codecs, each for FUZZTIME seconds.
fuzz:
	scripts/fuzz.sh $(FUZZTIME)
