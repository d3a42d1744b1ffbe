#!/usr/bin/env bash
# Fetches the vendored file anew, by the version in its name, and prints its hash for VENDORED.md.
set -euo pipefail
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm pack --silent --pack-destination "$folder" axe-core@4.14.1 >/dev/null
tar -xzOf "$folder/axe-core-4.14.1.tgz" package/axe.min.js >axe-4.14.1.min.js
tar -xzOf "$folder/axe-core-4.14.1.tgz" package/LICENSE >axe-LICENSE
sha256sum -- *.js
