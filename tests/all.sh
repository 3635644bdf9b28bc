#!/usr/bin/env bash
# Runs every test: unit, property, vector, documentation and integration tests, the last with real
# processes, TLS sockets, SQLite and PostgreSQL. Installs PostgreSQL if it is missing, or says so.
set -euo pipefail
cd "$(dirname "$0")/.."

postgres_bin() {
    ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1
}

if [ ! -x "$(postgres_bin)/initdb" ]; then
    echo "PostgreSQL is missing; installing it"
    if [ "$(id -u)" = 0 ]; then as_root=(); elif command -v sudo >/dev/null; then as_root=(sudo); else
        echo "The tests need PostgreSQL. Install it (apt-get install postgresql) and run this again." >&2
        exit 1
    fi
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null
fi
bin=$(postgres_bin)
[ -x "$bin/initdb" ] || { echo "The tests need PostgreSQL's server programs (initdb, pg_ctl)." >&2; exit 1; }

# PostgreSQL refuses to run as root, so root hands the cluster to the user the package made.
work=$(mktemp -d)
if [ "$(id -u)" = 0 ]; then
    chown postgres "$work"
    pg() { runuser -u postgres -- "$@"; }
else
    pg() { "$@"; }
fi
stop() {
    pg "$bin/pg_ctl" -D "$work/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap stop EXIT
chmod 711 "$work"
port=$(( 20000 + RANDOM % 10000 ))
pg "$bin/initdb" -D "$work/data" -U kpr --auth=trust --no-sync >/dev/null
pg "$bin/pg_ctl" -D "$work/data" -w -l "$work/log" \
    -o "-c listen_addresses=127.0.0.1 -p $port -c unix_socket_directories='' -c fsync=off" start >/dev/null

export KPR_TEST_POSTGRES="postgres://kpr@127.0.0.1:$port/postgres"
export KPR_REQUIRE_POSTGRES=1
cargo test --no-fail-fast "$@"
