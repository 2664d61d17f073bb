#!/bin/sh
# e2e.sh [BEGINNING]: runs the end-to-end tests of the program that PLANKTOS_BIN names: all files, or those whose names
# begin so. Browsers need whole cores: two files at a time, whatever the machine, but for one that lasts for a minute and
# a half and does next to nothing. That runs beside them, and what it says is shown at the end.
set -eu
cd "$(dirname "$0")/.."
lasting=e2e/10-long-stream.test.ts
run="node --import tsx --test --test-reporter=spec"

beside=
others=
for file in e2e/"${1:-}"*.test.ts; do
  [ -e "$file" ] || { echo "no end-to-end test is called $file" >&2; exit 1; }
  if [ "$file" = "$lasting" ]; then beside=$file; else others="$others $file"; fi
done
[ -n "$others" ] || exec $run "$beside"
[ -n "$beside" ] || exec $run --test-concurrency=2 $others

said=$(mktemp)
$run "$beside" > "$said" 2>&1 &
pid=$!
# What fails in a trap would be the script's own status.
trap 'kill "$pid" 2>/dev/null || :; rm -f "$said"' EXIT
trap 'exit 130' INT TERM
status=0
$run --test-concurrency=2 $others || status=$?
wait "$pid" || status=$?
cat "$said"
exit "$status"
