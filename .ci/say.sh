# Messages of the scripts beside this one; sourced by them.

loudly() {
    printf '\n!! %s\n\n' "$*" >&2
}

# Leave something out: an error in CI, a loud sentence elsewhere.
without() {
    loudly "$*"
    if [ "${CI:-}" = true ]; then exit 1; fi
}
