# PostgreSQL and MariaDB servers for this run alone; sourced by .ci/test.
#
# They keep their data in a temporary folder and listen on a socket there, nowhere else: no server
# of the machine is touched, and no password is needed. The variables that the clients read anyway
# tell the tests where they are.
source .ci/say.sh

databases=

start_databases() {
    databases=$(mktemp -d -t spooler-databases-XXXXXX)
    chmod 755 "$databases"
    local postgresql
    postgresql=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1 || true)
    if [ -n "$postgresql" ]; then start_postgresql "$postgresql"; fi
    if command -v mariadb-install-db >/dev/null; then start_mariadb; fi
}

# The servers refuse to run as root; Debian's packages bring a user for each.
as_user() {
    local user=$1
    shift
    if [ "$(id -u)" = 0 ]; then runuser -u "$user" -- "$@"; else "$@"; fi
}

own_folder() {
    mkdir "$databases/$1"
    [ "$(id -u)" != 0 ] || chown "$2" "$databases/$1"
}

start_postgresql() {
    local folder=$databases/postgresql
    own_folder postgresql postgres
    (
        cd "$folder"
        as_user postgres "$1/initdb" --pgdata=data --username=postgres --auth=trust \
            --encoding=UTF8 --no-sync &&
            as_user postgres "$1/pg_ctl" --pgdata=data --log=log --wait start --options \
                "-c listen_addresses='' -c unix_socket_directories='$folder' -c fsync=off"
    ) >"$databases/postgresql.log" 2>&1 || database_failed PostgreSQL "$databases/postgresql.log"
    export PGHOST=$folder PGUSER=postgres
    pg_ctl="$1/pg_ctl"
}

start_mariadb() {
    local folder=$databases/mariadb log=$databases/mariadb.log
    own_folder mariadb mysql
    (
        cd "$folder"
        as_user mysql mariadb-install-db --no-defaults --datadir="$folder/data" \
            --auth-root-authentication-method=normal --skip-test-db
    ) >"$log" 2>&1 || database_failed MariaDB "$log"
    as_user mysql "$(PATH=$PATH:/usr/sbin command -v mariadbd)" --no-defaults \
        --datadir="$folder/data" --socket="$folder/socket" --skip-networking \
        --pid-file="$folder/pid" --innodb-flush-log-at-trx-commit=0 >>"$log" 2>&1 &
    export MYSQL_UNIX_PORT=$folder/socket MYSQL_USER=root
    local tries=0
    until mariadb-admin --no-defaults --user=root --socket="$folder/socket" ping >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ $tries -gt 300 ]; then database_failed MariaDB "$log"; fi
        sleep 0.1
    done
}

database_failed() {
    tail -n 20 "$2" >&2
    loudly "$1 does not start; above is its log."
    exit 1
}

stop_databases() {
    [ -n "$databases" ] || return 0
    if [ -n "${PGHOST:-}" ]; then
        (cd "$PGHOST" && as_user postgres "$pg_ctl" --pgdata=data --mode=immediate stop) \
            >/dev/null 2>&1 || true
    fi
    if [ -e "$databases/mariadb/pid" ]; then
        kill -KILL "$(<"$databases/mariadb/pid")" || true
    fi
    rm -rf "$databases"
}
