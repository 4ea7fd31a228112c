#!/usr/bin/env bash
# The whole of kmsfs in one go, under ./demo: every step is printed with the
# command and what it shows, and checked; the first claim that is false ends the
# demo with exit code 1. It unmounts when it ends, however it ends.
# Usage: tests/demo.sh  (make demo builds ./kmsfs first)
#   KMSFS=PATH  the binary, default ./kmsfs
#   DEMO=DIR    where to play, default ./demo; it is deleted first
set -euo pipefail

kmsfs=$(realpath "${KMSFS:-./kmsfs}")
demo=${DEMO:-demo}
[[ -x $kmsfs ]] || { echo "no $kmsfs: run make build" >&2; exit 1; }

if grep -qF " $(realpath -m "$demo")/" /proc/self/mounts; then
  echo "$demo has a mount: run kmsfs umount" >&2
  exit 1
fi
rm -rf "$demo"
mkdir -p "$demo"
cd "$demo"
export PATH="$(dirname "$kmsfs"):$PATH"
export XDG_DATA_HOME=$PWD/data XDG_CONFIG_HOME=$PWD/settings
export LC_ALL=C
unset "${!KMSFS_@}"

# A mount that something still looks at is tried again, then detached.
cleanup() {
  trap - EXIT INT TERM HUP
  local i
  for i in 1 2 3 4 5 6 7 8 9 10; do
    grep -qF " $PWD/plain fuse.kmsfs " /proc/self/mounts || return 0
    kmsfs umount plain 2>/dev/null || sleep 0.2
  done
  kmsfs umount plain || umount -l plain || fusermount3 -uz plain || true
}
trap cleanup EXIT
trap 'cleanup; exit 130' INT
trap 'cleanup; exit 143' TERM HUP

bold() { if [[ -t 1 ]]; then printf '\033[1m%s\033[0m\n' "$*"; else printf '%s\n' "$*"; fi; }
step() { echo; bold "# $*"; }
# run prints a command and runs it.
run() { bold "\$ $*"; "$@"; }
# claim WHAT CHECK... prints a claim that is true, and ends the demo where it is not.
claim() {
  local what=$1
  shift
  if "$@"; then echo "  -> $what"; else echo "demo: FALSE: $what" >&2; exit 1; fi
}
not() { ! "$@"; }
denied() { local out; if out=$(cat "$1" 2>&1); then return 1; fi; echo "$out"; [[ $out == *'Permission denied' ]]; }
field() { sed -n "s/.*\"$1\": \"\([^\"]*\)\".*/\1/p" | head -n 1; }

# The ciphertext from the header on (H = 512), and the headers, of all files.
bodies() { find cipher -path cipher/+kmsfs -prune -o -type f -print0 | sort -z | while IFS= read -r -d '' f; do printf '%s ' "$f"; tail -c +513 "$f" | sha256sum; done; }
headers() { find cipher -path cipher/+kmsfs -prune -o -type f -print0 | sort -z | while IFS= read -r -d '' f; do printf '%s ' "$f"; head -c 512 "$f" | sha256sum; done; }
differ_everywhere() { [[ $(wc -l <<<"$1") == "$files" ]] && [[ -z $(comm -12 <(sort <<<"$1") <(sort <<<"$2")) ]]; }

step 'A key in the embedded KMS, and a cipher directory that uses it'
bold '$ kmsfs kms create-key --description demo'
key=$(kmsfs kms create-key --description demo | field Arn)
echo "$key"
run kmsfs kms create-alias --alias-name alias/demo --target-key-id "$key"
run kmsfs init --key alias/demo cipher
mkdir plain

step 'Mount it, and write files'
run kmsfs mount --key-ttl 1s --log mount.log cipher plain
claim 'it is mounted' grep -qF " $PWD/plain fuse.kmsfs " /proc/self/mounts
mkdir plain/letters
echo 'Dear diary, nobody else can read this.' >plain/letters/diary.txt
seq 100000 >plain/numbers.txt
ln -s letters/diary.txt plain/latest
for i in 1 2 3 4 5 6 7 8; do echo "note $i" >"plain/letters/note $i.txt"; done
files=10
run ls -l plain plain/letters
run cat plain/letters/diary.txt
claim 'plaintext reads back' grep -q 'Dear diary' plain/latest

step 'What lies on the disk: names and contents are ciphertext'
run find cipher -not -path 'cipher/+kmsfs/*'
claim 'no name and no content in clear' not grep -rqE 'diary|numbers|letters|Dear' cipher
bold '$ kmsfs inspect CIPHERFILE'
kmsfs inspect "$(find cipher -path cipher/+kmsfs -prune -o -type f -print | sort | head -n 1)"

step 'Rotate the key: new files use the new material, old ones still need the old'
run kmsfs kms rotate-key-on-demand --key-id "$key"
run kmsfs status cipher
bodies_before=$(bodies) headers_before=$(headers)
claim "status: the old material still wraps $files files" \
  grep -q "still wraps $files files and the names key" <<<"$(kmsfs status cipher)"

step 'Rewrap, while mounted: every header moves to the new material'
run kmsfs rewrap cipher
run kmsfs status cipher
claim 'no file needs the old material' grep -q 'no file needs any key but' <<<"$(kmsfs status cipher)"
claim "all $files headers changed" differ_everywhere "$headers_before" "$(headers)"
claim 'all bodies are byte for byte what they were' test "$bodies_before" = "$(bodies)"
claim 'plaintext reads back' grep -q 'Dear diary' plain/letters/diary.txt
claim 'a second rewrap does nothing' grep -q 'rewrapped 0 files' <<<"$(kmsfs rewrap cipher)"

step 'Another key altogether: rewrap --to'
bold '$ kmsfs kms create-key --description second'
key2=$(kmsfs kms create-key --description second | field Arn)
run kmsfs rewrap --to "$key2" cipher
run kmsfs status --key "$key" cipher
claim 'the first key is not needed any more' grep -q "no file needs key $key" <<<"$(kmsfs status --key "$key" cipher)"
run kmsfs kms schedule-key-deletion --key-id "$key" --pending-window-in-days 7
claim 'still all bodies are what they were' test "$bodies_before" = "$(bodies)"

step 'Disable the key: reading stops, within --key-ttl (1 s here)'
claim 'reading works before' cmp -s <(seq 100000) plain/numbers.txt
run kmsfs kms disable-key --key-id "$key2"
sleep 1.5
bold '$ cat plain/letters/diary.txt'
claim 'reading fails: permission denied' denied plain/letters/diary.txt
run tail -n 1 mount.log

step 'Enable it: reading works again'
run kmsfs kms enable-key --key-id "$key2"
run cat plain/letters/diary.txt
claim 'all contents are right' cmp -s <(seq 100000) plain/numbers.txt

step 'Who used the keys'
bold '$ kmsfs kms audit | tail -n 4'
kmsfs kms audit | tail -n 4
run kmsfs kms audit --verify

step 'Unmount'
run kmsfs umount plain
claim 'no mount is left' not grep -qF " $PWD/plain " /proc/self/mounts
claim 'the mountpoint is empty' test -z "$(ls plain)"
bold '$ kmsfs cat cipher letters/diary.txt   # without a mount'
kmsfs cat cipher letters/diary.txt
run kmsfs fsck cipher

echo
echo 'Every claim above was checked and is true.'
