/* Preloaded into doit and its processes: counts calls that change what lies below a folder, and makes one of them fail,
 * or kills the process there; or records them all, for power_loss.py. What the variables mean is said in shim.py. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX];
static size_t folder_length;
static struct {
    long count, fail_from, fail_until, fail_errno, fail_signal;
    char failed[2048]; /* path of the last call that failed */
} *control; /* shared by all processes, and with the test */
static int record_fd = -1;

__attribute__((constructor)) static void start(void) {
    const char *wanted = getenv("SHIM_FOLDER"), *file = getenv("SHIM_CONTROL"), *record = getenv("SHIM_RECORD");
    if (!wanted || !file) return;
    snprintf(folder, sizeof folder, "%s", wanted);
    folder_length = strlen(folder);
    int fd = syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *page = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (page != MAP_FAILED) control = page;
    if (record) record_fd = syscall(SYS_openat, AT_FDCWD, record, O_WRONLY | O_APPEND | O_CLOEXEC);
}

/* The absolute path of a file that is named from a folder; links in it are not followed. */
static const char *absolute(int dir, const char *path, char *buffer) {
    char base[PATH_MAX], link[64];
    if (path[0] == '/') return path;
    if (dir == AT_FDCWD) {
        if (syscall(SYS_getcwd, base, sizeof base) < 0) return path;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        ssize_t length = readlink(link, base, sizeof base - 1);
        if (length < 0) return path;
        base[length] = 0;
    }
    if (snprintf(buffer, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return path;
    return buffer;
}

static const char *path_of(int fd, char *buffer) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, buffer, PATH_MAX - 1);
    buffer[length < 0 ? 0 : length] = 0;
    return buffer;
}

static int is_below(const char *path) {
    return control && !strncmp(path, folder, folder_length) && (path[folder_length] == '/' || !path[folder_length]);
}

/* Whether the call is the one that fails; errno is set then. */
static int fails(const char *path) {
    if (!is_below(path)) return 0;
    long number = __atomic_add_fetch(&control->count, 1, __ATOMIC_SEQ_CST);
    if (!control->fail_from || number < control->fail_from || number > control->fail_until) return 0;
    if (control->fail_signal) {
        syscall(SYS_kill, getpid(), control->fail_signal);
        return 0;
    }
    snprintf(control->failed, sizeof control->failed, "%s", path);
    errno = control->fail_errno;
    return 1;
}

/* One record: a line of what was done, then bytes. */
static void record(const char *kind, const char *path, const char *other, long offset, const void *data, size_t size) {
    char line[3 * PATH_MAX];
    if (record_fd < 0 || !is_below(path)) return;
    int saved = errno;
    int length = snprintf(line, sizeof line, "%s\t%s\t%s\t%ld\t%zu\n", kind, path, other, offset, data ? size : 0);
    struct iovec parts[2] = {{line, length}, {(void *)data, data ? size : 0}};
    syscall(SYS_flock, record_fd, LOCK_EX);
    syscall(SYS_writev, record_fd, parts, 2);
    syscall(SYS_flock, record_fd, LOCK_UN);
    errno = saved;
}

static int do_open(int dir, const char *path, int flags, mode_t mode) {
    char buffer[PATH_MAX];
    const char *full = absolute(dir, path, buffer);
    int changes = (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
    if (changes && fails(full)) return -1;
    int existed = !syscall(SYS_faccessat, dir, path, F_OK);
    int fd = syscall(SYS_openat, dir, path, flags, mode);
    if (fd >= 0 && changes && !existed) record("create", full, "", 0, NULL, 0);
    if (fd >= 0 && flags & O_TRUNC && existed) record("truncate", full, "", 0, NULL, 0);
    return fd;
}

#define MODE(flags, mode) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); }

int open(const char *path, int flags, ...) { MODE(flags, mode) return do_open(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags, mode) return do_open(AT_FDCWD, path, flags, mode); }
int openat(int dir, const char *path, int flags, ...) { MODE(flags, mode) return do_open(dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE(flags, mode) return do_open(dir, path, flags, mode); }
int creat(const char *path, mode_t mode) { return do_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

ssize_t write(int fd, const void *data, size_t size) {
    char path[PATH_MAX];
    if (!control) return syscall(SYS_write, fd, data, size);
    if (fails(path_of(fd, path))) return -1;
    int appends = record_fd >= 0 && syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND;
    long offset = record_fd < 0 ? 0 : syscall(SYS_lseek, fd, 0, appends ? SEEK_END : SEEK_CUR);
    ssize_t written = syscall(SYS_write, fd, data, size);
    if (written > 0) record("write", path, "", offset, data, written);
    return written;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    char path[PATH_MAX];
    if (fails(path_of(fd, path))) return -1;
    ssize_t written = syscall(SYS_pwrite64, fd, data, size, offset);
    if (written > 0) record("write", path, "", offset, data, written);
    return written;
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return pwrite(fd, data, size, offset); }

ssize_t writev(int fd, const struct iovec *parts, int number) {
    ssize_t total = 0;
    for (int index = 0; index < number; index++) {
        if (!parts[index].iov_len) continue;
        ssize_t written = write(fd, parts[index].iov_base, parts[index].iov_len);
        if (written < 0) return total ? total : -1;
        total += written;
        if ((size_t)written < parts[index].iov_len) break;
    }
    return total;
}

static int do_sync(int fd, long call) {
    char path[PATH_MAX];
    if (fails(path_of(fd, path))) return -1;
    int result = syscall(call, fd);
    if (!result) record("sync", path, "", 0, NULL, 0);
    return result;
}
int fsync(int fd) { return do_sync(fd, SYS_fsync); }
int fdatasync(int fd) { return do_sync(fd, SYS_fdatasync); }

int ftruncate(int fd, off_t size) {
    char path[PATH_MAX];
    if (fails(path_of(fd, path))) return -1;
    int result = syscall(SYS_ftruncate, fd, size);
    if (!result) record("truncate", path, "", size, NULL, 0);
    return result;
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

static int do_rename(int old_dir, const char *old, int new_dir, const char *new, unsigned flags) {
    char one[PATH_MAX], other[PATH_MAX];
    const char *from = absolute(old_dir, old, one), *to = absolute(new_dir, new, other);
    if (fails(to)) return -1;
    int result = syscall(SYS_renameat2, old_dir, old, new_dir, new, flags);
    if (!result) record("rename", from, to, 0, NULL, 0);
    return result;
}
int rename(const char *old, const char *new) { return do_rename(AT_FDCWD, old, AT_FDCWD, new, 0); }
int renameat(int a, const char *old, int b, const char *new) { return do_rename(a, old, b, new, 0); }
int renameat2(int a, const char *old, int b, const char *new, unsigned flags) { return do_rename(a, old, b, new, flags); }

static int do_mkdir(int dir, const char *path, mode_t mode) {
    char buffer[PATH_MAX];
    const char *full = absolute(dir, path, buffer);
    /* of a folder that is there, the system says so before it needs any room */
    if (syscall(SYS_faccessat, dir, path, F_OK) && fails(full)) return -1;
    int result = syscall(SYS_mkdirat, dir, path, mode);
    if (!result) record("mkdir", full, "", 0, NULL, 0);
    return result;
}
int mkdir(const char *path, mode_t mode) { return do_mkdir(AT_FDCWD, path, mode); }
int mkdirat(int dir, const char *path, mode_t mode) { return do_mkdir(dir, path, mode); }

static int do_symlink(const char *target, int dir, const char *path) {
    char buffer[PATH_MAX];
    const char *full = absolute(dir, path, buffer);
    if (fails(full)) return -1;
    int result = syscall(SYS_symlinkat, target, dir, path);
    if (!result) record("symlink", full, target, 0, NULL, 0);
    return result;
}
int symlink(const char *target, const char *path) { return do_symlink(target, AT_FDCWD, path); }
int symlinkat(const char *target, int dir, const char *path) { return do_symlink(target, dir, path); }

/* Removing needs no room: it is recorded, and never fails here. */
static int do_unlink(int dir, const char *path, int flags) {
    char buffer[PATH_MAX];
    const char *full = absolute(dir, path, buffer);
    int result = syscall(SYS_unlinkat, dir, path, flags);
    if (!result) record(flags & AT_REMOVEDIR ? "rmdir" : "unlink", full, "", 0, NULL, 0);
    return result;
}
int unlink(const char *path) { return do_unlink(AT_FDCWD, path, 0); }
int unlinkat(int dir, const char *path, int flags) { return do_unlink(dir, path, flags); }
int rmdir(const char *path) { return do_unlink(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    int result = unlink(path);
    return result && (errno == EISDIR || errno == EPERM) ? rmdir(path) : result;
}
