#!/bin/sh
# Fuzzes every target of the Go packages and every property of the TypeScript codecs, one after the other, each for the
# time given, in seconds.
set -eu
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for package in $(go list ./...); do
  for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
    echo "$package $target"
    if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$1s" "$package" > "$log" 2>&1; then
      # Go may report the end of the time, which it set itself, as a failure.
      if grep -q 'Failing input' "$log" || ! grep -q 'context deadline exceeded' "$log"; then
        cat "$log" >&2
        exit 1
      fi
    fi
  done
done
FUZZ_SECONDS="$1" node --import tsx --test --test-reporter=spec browser/src/shared/fuzz.test.ts
