/* Lets the n-th file call below a directory fail, as SQLite's crash tests do.

   Loaded with LD_PRELOAD, so that it stands between the C library and everything in the process:
   Python's own calls and those of uWSGI's C code. A process arms it (by ctypes) for one directory:
   the n-th call from then on fails with an errno, once or for good, or kills the process. Every call
   is noted, which also shows in what order a file reaches the disk.

   A call counts if it names a path below the directory, or a descriptor of one. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define DEATH -1

static char below[PATH_MAX];
static long calls, nth;
static int fault, for_good;
static char trace[1 << 20];
static size_t traced;

/* Count from now on; let the n-th call fail (0: none). */
void faults_arm(const char *directory, long number, int error, int always) {
    snprintf(below, sizeof below, "%s", directory);
    calls = 0;
    nth = number;
    fault = error;
    for_good = always;
    traced = 0;
    trace[0] = 0;
}

/* Stop, and return how many calls there were. */
long faults_disarm(void) {
    below[0] = 0;
    return calls;
}

/* Return the calls since the last arming, one a line: name, path, second path. */
const char *faults_trace(void) {
    return trace;
}

static int counts(const char *path) {
    size_t length = strlen(below);
    return length && !strncmp(path, below, length) && (!path[length] || path[length] == '/');
}

/* Note the call; return whether it is to fail, with errno set. */
static int fails(const char *name, const char *path, const char *second) {
    if (!counts(path) && !(second && counts(second))) return 0;
    if (traced < sizeof trace - 3 * PATH_MAX)
        traced += sprintf(trace + traced, "%s\t%s\t%s\n", name, path, second ? second : "");
    calls++;
    if (!nth || !(calls == nth || (for_good && calls > nth))) return 0;
    if (fault == DEATH) kill(getpid(), SIGKILL);
    errno = fault;
    return 1;
}

static const char *absolute(int directory, const char *path, char *buffer) {
    char link[64];
    ssize_t length;
    if (path && path[0] == '/') return path;
    if (directory == AT_FDCWD) return path ? path : "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    length = readlink(link, buffer, PATH_MAX - 1);
    if (length < 0) return "";
    buffer[length] = 0;
    if (path) snprintf(buffer + length, PATH_MAX - length, "/%s", path);
    return buffer;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define ON_PATH(name, signature, arguments, types) \
    int name signature { \
        REAL(int, name, types); \
        return fails(#name, path, NULL) ? -1 : real arguments; \
    }
#define TYPES(...) __VA_ARGS__

#define ON_DESCRIPTOR(type, name, signature, arguments, types) \
    type name signature { \
        char buffer[PATH_MAX]; \
        REAL(type, name, types); \
        if (below[0] && fails(#name, absolute(fd, NULL, buffer), NULL)) return -1; \
        return real arguments; \
    }

#define OPENS(name) \
    int name(const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        REAL(int, name, const char *, int, ...); \
        if (fails(flags & O_CREAT ? "create" : "open", path, NULL)) return -1; \
        return real(path, flags, mode); \
    }

#define OPENS_AT(name) \
    int name(int directory, const char *path, int flags, ...) { \
        char buffer[PATH_MAX]; \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        REAL(int, name, int, const char *, int, ...); \
        if (below[0] && fails("open", absolute(directory, path, buffer), NULL)) return -1; \
        return real(directory, path, flags, mode); \
    }

OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)

DIR *opendir(const char *path) {
    REAL(DIR *, opendir, const char *);
    return fails("opendir", path, NULL) ? NULL : real(path);
}

ON_PATH(mkdir, (const char *path, mode_t mode), (path, mode), TYPES(const char *, mode_t))
ON_PATH(rmdir, (const char *path), (path), TYPES(const char *))
ON_PATH(stat, (const char *path, struct stat *status), (path, status), TYPES(const char *, struct stat *))
ON_PATH(stat64, (const char *path, struct stat64 *status), (path, status), TYPES(const char *, struct stat64 *))
ON_PATH(lstat, (const char *path, struct stat *status), (path, status), TYPES(const char *, struct stat *))
ON_PATH(lstat64, (const char *path, struct stat64 *status), (path, status), TYPES(const char *, struct stat64 *))

int rename(const char *path, const char *target) {
    REAL(int, rename, const char *, const char *);
    return fails("rename", path, target) ? -1 : real(path, target);
}

/* One that is full or out of descriptors still lets things be deleted. */
int unlink(const char *path) {
    REAL(int, unlink, const char *);
    return fails("unlink", path, NULL) && fault != ENOSPC && fault != EMFILE ? -1 : real(path);
}

int unlinkat(int directory, const char *path, int flags) {
    char buffer[PATH_MAX];
    REAL(int, unlinkat, int, const char *, int);
    if (below[0] && fails("unlinkat", absolute(directory, path, buffer), NULL)) return -1;
    return real(directory, path, flags);
}

int utimensat(int directory, const char *path, const struct timespec times[2], int flags) {
    char buffer[PATH_MAX];
    REAL(int, utimensat, int, const char *, const struct timespec *, int);
    if (below[0] && fails("utimensat", absolute(directory, path, buffer), NULL)) return -1;
    return real(directory, path, times, flags);
}

ON_DESCRIPTOR(int, futimes, (int fd, const struct timeval times[2]), (fd, times), TYPES(int, const struct timeval *))
ON_DESCRIPTOR(int, fsync, (int fd), (fd), TYPES(int))
ON_DESCRIPTOR(ssize_t, read, (int fd, void *into, size_t size), (fd, into, size), TYPES(int, void *, size_t))

/* A disk that is full takes what fits: half of it, and the next call fails. */
ssize_t write(int fd, const void *from, size_t size) {
    char buffer[PATH_MAX];
    REAL(ssize_t, write, int, const void *, size_t);
    if (!below[0]) return real(fd, from, size);
    long before = calls;
    if (!fails("write", absolute(fd, NULL, buffer), NULL)) return real(fd, from, size);
    if (size > 1 && fault == ENOSPC && calls > before) return real(fd, from, size / 2);
    return -1;
}
