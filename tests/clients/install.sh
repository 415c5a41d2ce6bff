#!/bin/sh
# Fetches the programs that tests/clients and tests/keys run, into the target directory. What is there already is not
# fetched again.
set -eu

cargo_target=${CARGO_TARGET_DIR:-$(dirname "$0")/../../target}
mkdir -p "$cargo_target/clients"
clients=$(cd "$cargo_target/clients" && pwd)
this=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")

lacks() {
    ! command -v "$1" >/dev/null 2>&1
}

# Debian's packages, where this is Debian and we may
packages=
if lacks git; then packages="$packages git"; fi
if lacks age; then packages="$packages age"; fi
if lacks gpg; then packages="$packages gnupg"; fi
if lacks npm; then packages="$packages nodejs npm"; fi
# the server for the tests of the audit log; its programs are not on the search path
if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then packages="$packages postgresql"; fi
if ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then packages="$packages python3 python3-venv"; fi
if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && ! lacks apt-get; then
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null
fi

# a new version of this script fetches anew
if cmp -s "$this" "$clients/installed"; then
    exit 0
fi
rm -rf "$clients"
mkdir -p "$clients/collections"
cd "$clients"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
    ansible-core==2.19.14 \
    azure-identity==1.27.0 \
    azure-keyvault-keys==4.11.3 \
    click==8.5.1 \
    gcp-storage-emulator==2026.7.19 \
    jsonschema==4.26.0 \
    pre-commit==4.7.0 \
    google-auth==2.63.0 \
    google-cloud-kms==3.18.0 \
    'moto[server]==5.2.5' \
    huaweicloudsdkcore==3.1.219 \
    huaweicloudsdkkms==3.1.219 \
    hvac==2.4.0 \
    pre-commit-hook-ensure-sops==1.1 \
    pydantic-settings-sops==0.1.2 \
    requests==2.34.2 \
    sops-wrapper==0.1.1 \
    sopsy==1.3.0

# ksops asks for a newer Python than it needs; of the module for Inmanta only the editor is wanted, which needs nothing
venv/bin/pip install -q --disable-pip-version-check --no-deps --ignore-requires-python \
    inmanta-module-sops==0.3.2 \
    ksops==0.2.2

# the collection comes with the package `ansible`, of which nothing else is wanted
venv/bin/pip download -q --disable-pip-version-check --no-deps --only-binary :all: -d wheels ansible==12.3.0
venv/bin/python - <<'EOF'
from glob import glob
from zipfile import ZipFile

wheel = ZipFile(glob("wheels/ansible-*.whl")[0])
wanted = "ansible_collections/community/sops/"
wheel.extractall("collections", [name for name in wheel.namelist() if name.startswith(wanted)])
EOF
rm -r wheels

npm install --silent --no-audit --no-fund --ignore-scripts --prefix . \
    sops-age@4.0.2 \
    sops-decoder@0.10.3 \
    sops-wrapper@1.0.0

# of this package only the schema of SARIF is wanted
npm pack --silent @microsoft/jest-sarif@1.0.0-beta.0 >/dev/null
tar xzf microsoft-jest-sarif-*.tgz package/lib/schemas/sarif-2.1.0-rtm.5.json
mv package/lib/schemas/sarif-2.1.0-rtm.5.json sarif-2.1.0.json
rm -r package microsoft-jest-sarif-*.tgz

# the plugin for age that comes with the crate for writing them, as an example
cargo install --quiet --locked --root "$clients" --version 0.7.0 --example age-plugin-unencrypted age-plugin

cp "$this" installed
