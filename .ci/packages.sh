# Debian's packages that the tests need beside Python's; sourced by .ci/test.
source .ci/say.sh

missing_packages=()

need() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing_packages+=("$package")
}

list_missing_packages() {
    missing_packages=()
    need gcc command -v cc
    need git command -v git
    need python3 command -v python3
    need python3-venv python3 -c 'import ensurepip'
    need python3-dev python3 -c 'import sysconfig, pathlib
assert pathlib.Path(sysconfig.get_path("include"), "Python.h").exists()'
    # mysqlclient has no wheels: it is compiled, against the client library.
    need pkg-config command -v pkg-config
    need libmariadb-dev pkg-config --exists libmariadb
    need mariadb-server command -v mariadb-install-db
    need postgresql compgen -G '/usr/lib/postgresql/*/bin/initdb'
    need chromium command -v chromium
    need chromium-driver command -v chromedriver
}

install_packages() {
    list_missing_packages
    [ ${#missing_packages[@]} -gt 0 ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing ${missing_packages[*]}"
        local log
        log=$(mktemp)
        if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes \
            --no-install-recommends "${missing_packages[@]}"; } >"$log" 2>&1; then
            tail -n 20 "$log" >&2
        fi
        rm "$log"
        list_missing_packages
        [ ${#missing_packages[@]} -gt 0 ] || return 0
    fi
    without "Not everything can be tested here, since ${missing_packages[*]} cannot be found." \
        "Mend it with: sudo apt-get install ${missing_packages[*]}"
}
