#!/usr/bin/env bash
# Fetches the vendored files anew, by the versions in their names, and prints their hashes for VENDORED.md.
set -euo pipefail
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fetch() { # package, version, file within it, name here
    npm pack --silent --pack-destination "$folder" "$1@$2" >/dev/null
    tar -xzOf "$folder/$1-$2.tgz" "package/$3" >"$4"
}
fetch htmx.org 2.0.11 dist/htmx.min.js htmx-2.0.11.min.js
fetch htmx.org 2.0.11 LICENSE htmx-LICENSE
fetch uplot 1.6.32 dist/uPlot.iife.min.js uplot-1.6.32.min.js
fetch uplot 1.6.32 dist/uPlot.min.css uplot-1.6.32.min.css
fetch uplot 1.6.32 LICENSE uplot-LICENSE
sha256sum -- *.js *.css
