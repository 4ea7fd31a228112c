#!/usr/bin/env bash
# Checks for what the tests need besides Go: FUSE, extended-attribute tools, and a
# Python that can import cryptography (the independent reader of the format). With
# the argument clients: for what tests/clients needs. Root on a system with apt-get
# gets the missing ones installed; anybody else is told what to install. Changes
# nothing when all is there.
set -euo pipefail
for_what=${1:-tests}

# The Python of the reader test is the first of these that imports cryptography.
pythons=(python3 /usr/bin/python3)

has_reader_python() {
  local p
  for p in "${pythons[@]}"; do
    if command -v "$p" >/dev/null && "$p" -c 'import cryptography' 2>/dev/null; then
      return 0
    fi
  done
  return 1
}

# has_aws2 reports whether there is an aws of version 2; the PATH may have others.
has_aws2() {
  local aws
  for aws in $(type -aP aws); do
    if [[ $("$aws" --version 2>/dev/null) == aws-cli/2.* ]]; then
      return 0
    fi
  done
  return 1
}

# missing prints the Debian packages that are wanted, one a line.
missing() {
  if [[ $for_what == clients ]]; then
    has_aws2 || echo awscli
    command -v openssl >/dev/null || echo openssl
    node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null || echo nodejs
    command -v npm >/dev/null || echo npm
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    return
  fi
  command -v fusermount3 >/dev/null || echo fuse3
  { command -v setfattr && command -v getfattr; } >/dev/null || echo attr
  has_reader_python || echo python3-cryptography
}

mapfile -t packages < <(missing)
if ((${#packages[@]})) && ((EUID == 0)) && command -v apt-get >/dev/null; then
  echo "installing ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q </dev/null
  apt-get install -q -y --no-install-recommends "${packages[@]}" </dev/null
  hash -r
  mapfile -t packages < <(missing)
fi

failed=0
for package in "${packages[@]}"; do
  failed=1
  case $package in
    fuse3) what='fusermount3, to mount' ;;
    attr) what='setfattr and getfattr' ;;
    awscli) what='an aws of version 2' ;;
    nodejs) what='node, 18 or newer' ;;
    npm | openssl) what=$package ;;
    python3-venv) what='python3, with its module venv' ;;
    python3-cryptography) what="the Python module cryptography, in one of: ${pythons[*]}" ;;
  esac
  echo "missing: $what (Debian package $package)" >&2
done
if ((failed)); then
  echo "install as root: apt-get install ${packages[*]}" >&2
fi

if [[ $for_what == clients ]]; then
  exit "$failed"
fi
if [[ ! -c /dev/fuse ]]; then
  failed=1
  echo 'missing: /dev/fuse: load the module (modprobe fuse); in a container, start it with --device /dev/fuse --cap-add SYS_ADMIN' >&2
elif [[ ! -r /dev/fuse || ! -w /dev/fuse ]]; then
  failed=1
  echo "/dev/fuse cannot be opened by $(id -un): its mode should be 0666 ($(stat -c '%A, owner %U' /dev/fuse))" >&2
fi
exit "$failed"
