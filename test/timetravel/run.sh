#!/bin/sh
# Do ctreplay and a kernel that lives in the capture's time agree? Builds ctreplay and runs main.ts; `--help` tells more.
# Without arguments: the scenarios marked `time: virtual`.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
(cd "$root" && npm run --silent build > /dev/null)
exec node "$root/build/test/timetravel/main.js" "$@"
