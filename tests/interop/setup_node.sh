#!/usr/bin/env bash
# Installs zarrita from the npm registry for tests/interop/test_zarrita.py, which is skipped without it.
set -euo pipefail
cd "$(dirname "$0")"
npm install --no-audit --no-fund
