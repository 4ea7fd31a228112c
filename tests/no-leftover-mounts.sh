#!/usr/bin/env bash
# Runs a command and fails if it left a kmsfs mount behind.
# Usage: no-leftover-mounts.sh COMMAND [ARG...]
# Mounts that were there before do not count.
set -euo pipefail

mounts() { awk '$3 == "fuse.kmsfs" { print $2 }' /proc/self/mounts | sort; }

before=$(mounts)
status=0
"$@" || status=$?
left=$(comm -13 <(echo "$before") <(mounts))
if [[ -n $left ]]; then
  echo "the command left these kmsfs mounts behind:" >&2
  echo "$left" >&2
  ((status)) || status=1
fi
exit "$status"
