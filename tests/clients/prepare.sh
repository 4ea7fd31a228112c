#!/usr/bin/env bash
# Puts below bin/clients what tests/clients needs and the machine has not got: an
# aws and a boto3 that know all operations, SOPS, the AWS Encryption SDK for
# JavaScript. Run by make clients, after tests/install-deps.sh clients.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
here=tests/clients
there=$PWD/bin/clients
mkdir -p "$there"
rm -f "$there/ready"

sops=3.13.3
newest=get_key_last_usage

# knows_all reports whether there are an aws 1 and a boto3 that know the newest
# operation. The aws 2 of the distribution, which is tested too, may be older.
knows_all() {
  local aws
  python3 -c "import boto3; boto3.client('kms', 'us-east-1').$newest" 2>/dev/null || return
  for aws in $(type -aP aws); do
    if [[ $("$aws" --version 2>/dev/null) == aws-cli/1.* ]] &&
      "$aws" kms "${newest//_/-}" --generate-cli-skeleton >/dev/null 2>&1; then
      return
    fi
  done
  return 1
}

PATH=$there/venv/bin:$PATH
if ! knows_all; then
  echo "installing aws 1 and boto3 in $there/venv"
  if ! { python3 -m venv --clear "$there/venv" && "$there/venv/bin/pip" install -q -r $here/requirements.txt; }; then
    rm -rf "$there/venv"
    echo "missing: aws 1 and boto3 with ${newest//_/-}: install them with pip install $(paste -sd ' ' $here/requirements.txt)" >&2
    exit 1
  fi
fi

if ! "$there/sops" --version --disable-version-check 2>/dev/null | grep -qx "sops $sops"; then
  echo "installing SOPS $sops"
  GOFLAGS= GOBIN=$there go install "github.com/getsops/sops/v3/cmd/sops@v$sops"
fi

if ! cmp -s $here/js/package-lock.json "$there/js/installed"; then
  echo "installing the AWS Encryption SDK for JavaScript"
  rm -rf "$there/js"
  mkdir "$there/js"
  cp $here/js/package.json $here/js/package-lock.json "$there/js/"
  (cd "$there/js" && npm ci --ignore-scripts --no-audit --no-fund --loglevel error)
  cp $here/js/package-lock.json "$there/js/installed"
fi

touch "$there/ready"
