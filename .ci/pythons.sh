# The interpreters of the matrix; sourced by .ci/test.
source .ci/say.sh

# Set PYTHON, and make each python3.X a command where pyenv keeps several versions.
find_pythons() {
    local version missing=()
    if command -v pyenv >/dev/null; then
        local found
        found=$(for version in 3.11 3.10 3.12 3.13; do pyenv latest "$version" 2>/dev/null; done |
            paste -sd:)
        export PYENV_VERSION=${found:-system}
    fi
    for version in 3.10 3.11 3.12 3.13; do
        "python$version" -c '' 2>/dev/null || missing+=("$version")
    done
    [ ${#missing[@]} -eq 0 ] || without "Python ${missing[*]} cannot be found, so the tests run" \
        "only on the others. Mend it with: pyenv install ${missing[*]}"
    PYTHON=$(command -v python3)
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        { loudly "$PYTHON is too old: Python 3.10 or newer is needed."; exit 1; }
}
