#!/bin/sh
# Builds rsops and does its main job on the files of this folder: encrypt, show, decrypt again.
set -eu
cd "$(dirname "$0")"
cargo build --release --locked --no-default-features --features age
rsops="$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/rsops"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp .sops.yaml secrets.yaml "$work"
cd "$work"

echo '$ rsops encrypt --in-place secrets.yaml'
"$rsops" encrypt --in-place secrets.yaml
echo '$ cat secrets.yaml'
cat secrets.yaml
echo '$ SOPS_AGE_KEY_FILE=key.txt rsops decrypt secrets.yaml'
SOPS_AGE_KEY_FILE="$OLDPWD/key.txt" "$rsops" decrypt secrets.yaml > plain.yaml
cat plain.yaml
cmp plain.yaml "$OLDPWD/secrets.yaml"
echo 'The decrypted file is the one that was encrypted.'
