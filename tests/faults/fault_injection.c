/* Preloaded into a run by tests/faults/harness.py: injects a fault at the n-th call that changes a directory.

   FAULT_DIRECTORY  absolute path of the directory
   FAULT_PATTERN    pattern of the paths below it that count, e.g. /latest/ckpt-60*; default: all
   FAULT_AT      n, from 1; 0: never
   FAULT_KIND     kill: SIGKILL before the call, in a write after half of its bytes;
                  full: the disk is full (ENOSPC) from that call on; only calls that need space count
   FAULT_LOG     file to which every counted call is written
   CLOCK_JUMP     seconds by which the wall clock jumps forward, back and to the right time, at every 64th read

   The environment is read at every call, so that forks can have different faults. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static atomic_int calls, clock_reads;

static int is_below(const char *path) {
  const char *folder = getenv("FAULT_DIRECTORY");
  size_t length = folder ? strlen(folder) : 0;
  if (!length || !path || strncmp(path, folder, length) || (path[length] && path[length] != '/')) return 0;
  const char *only = getenv("FAULT_PATTERN");
  return !only || !fnmatch(only, path + length, 0);
}

static void note(int number, const char *call, const char *path) {
  const char *log = getenv("FAULT_LOG");
  if (!log) return;
  char line[PATH_MAX + 64];
  int length = snprintf(line, sizeof line, "%d %s %s\n", number, call, path + strlen(getenv("FAULT_DIRECTORY")));
  int file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0666);
  syscall(SYS_write, file, line, length);
  syscall(SYS_close, file);
}

/* Count a call on a path; return whether it is to fail. `half` writes half of what the call would. */
static int fails(const char *call, const char *path, int grows, void (*half)(void *), void *what) {
  if (!is_below(path)) return 0;
  const char *how = getenv("FAULT_KIND"), *at = getenv("FAULT_AT");
  int full = how && !strcmp(how, "full"), wanted = at ? atoi(at) : 0;
  if (full && !grows) return 0;
  int number = atomic_fetch_add(&calls, 1) + 1;
  note(number, call, path);
  if (!wanted || number < wanted || (!full && number > wanted)) return 0;
  if (full) {
    errno = ENOSPC;
    return 1;
  }
  if (half) half(what);
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static int fails_file(const char *call, int file, int grows, void (*half)(void *), void *what) {
  char link[32], path[PATH_MAX];
  if (!getenv("FAULT_DIRECTORY")) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return fails(call, path, grows, half, what);
}

static int is_new(const char *path, int flags) { return (flags & O_CREAT) && access(path, F_OK); }

#define OPEN(name)                                                                                            \
  int name(const char *path, int flags, ...) {                                                                \
    va_list more;                                                                                             \
    va_start(more, flags);                                                                                    \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                                   \
    va_end(more);                                                                                             \
    int saved = errno;                                                                                        \
    if ((is_new(path, flags) || (flags & O_TRUNC)) && fails("open", path, is_new(path, flags), 0, 0)) return -1; \
    errno = saved;                                                                                            \
    return REAL(name)(path, flags, mode);                                                                     \
  }
OPEN(open)
OPEN(open64)

#define FOPEN(name)                                                                               \
  FILE *name(const char *path, const char *mode) {                                                \
    if (*mode != 'r' && fails("open", path, access(path, F_OK) != 0, 0, 0)) return NULL;        \
    return REAL(name)(path, mode);                                                                \
  }
FOPEN(fopen)
FOPEN(fopen64)

struct bytes {
  int file;
  const void *from;
  size_t size;
};
static void write_half(void *what) {
  struct bytes *b = what;
  syscall(SYS_write, b->file, b->from, b->size / 2);
}

ssize_t write(int file, const void *from, size_t size) {
  struct bytes b = {file, from, size};
  return fails_file("write", file, 1, write_half, &b) ? -1 : REAL(write)(file, from, size);
}
ssize_t writev(int file, const struct iovec *parts, int count) {
  return fails_file("write", file, 1, 0, 0) ? -1 : REAL(writev)(file, parts, count);
}

struct items {
  FILE *file;
  const void *from;
  size_t bytes;
};
static void fwrite_half(void *what) {
  struct items *b = what;
  REAL(fwrite)(b->from, 1, b->bytes / 2, b->file);
  REAL(fflush)(b->file);
}
size_t fwrite(const void *from, size_t size, size_t count, FILE *file) {
  struct items b = {file, from, size * count};
  return fails_file("write", fileno(file), 1, fwrite_half, &b) ? 0 : REAL(fwrite)(from, size, count, file);
}
int fflush(FILE *file) {
  return file && fails_file("flush", fileno(file), 1, 0, 0) ? EOF : REAL(fflush)(file);
}
int fclose(FILE *file) {
  fails_file("close", fileno(file), 0, 0, 0);
  return REAL(fclose)(file);
}
int fsync(int file) { return fails_file("sync", file, 1, 0, 0) ? -1 : REAL(fsync)(file); }
int ftruncate(int file, off_t size) { return fails_file("truncate", file, 0, 0, 0) ? -1 : REAL(ftruncate)(file, size); }
int rename(const char *from, const char *to) { return fails("rename", to, 0, 0, 0) ? -1 : REAL(rename)(from, to); }
int link(const char *from, const char *to) { return fails("link", to, 1, 0, 0) ? -1 : REAL(link)(from, to); }
int symlink(const char *from, const char *to) { return fails("link", to, 1, 0, 0) ? -1 : REAL(symlink)(from, to); }
int unlink(const char *path) { return fails("unlink", path, 0, 0, 0) ? -1 : REAL(unlink)(path); }
int rmdir(const char *path) { return fails("rmdir", path, 0, 0, 0) ? -1 : REAL(rmdir)(path); }
int mkdir(const char *path, mode_t mode) {
  return fails("mkdir", path, access(path, F_OK) != 0, 0, 0) ? -1 : REAL(mkdir)(path, mode);
}

static long jump(void) {
  const char *seconds = getenv("CLOCK_JUMP");
  if (!seconds) return 0;
  int turn = atomic_fetch_add(&clock_reads, 1) / 64 % 3;
  return turn == 1 ? atol(seconds) : turn == 2 ? -atol(seconds) : 0;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = REAL(clock_gettime)(clock, now);
  if (clock == CLOCK_REALTIME && getenv("CLOCK_JUMP")) now->tv_sec += jump();
  return result;
}
int gettimeofday(struct timeval *now, void *zone) {
  int result = REAL(gettimeofday)(now, zone);
  if (now) now->tv_sec += jump();
  return result;
}
time_t time(time_t *where) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (where) *where = now.tv_sec;
  return now.tv_sec;
}
