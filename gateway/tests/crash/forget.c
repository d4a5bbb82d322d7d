/* A disk that forgets what was not synced, for the power-loss tests. Preloaded into the gateway.
 *
 * Writes to databases (*.db, *-wal, *-journal below FORGET_DIR) go through as ever, so the process sees what it wrote.
 * Beside each file an image is kept, FORGET_IMAGES/<name>: what would be on the platter. A sync copies what was written
 * since the last one into the image; nothing else does, but for what FORGET_SPILL lets through early. After the process
 * was killed, the test puts the images in place of the files: that is the power loss.
 *
 * FORGET_LIE=1        every sync reports success and does nothing: a disk that lies. The check must notice.
 * FORGET_SPILL=SEED   a disk writes early what it likes: now and then the first part of a write reaches the image at
 *                     once, so that images also hold torn and unordered writes.
 * FORGET_FAULT=FILE   while FILE holds "ENOSPC", writes fail with it; while it holds "EIO", syncs fail with it, and what
 *                     was to be synced is dropped, as Linux does: a later sync reports success without it.
 *
 * Simplified: a file that existed when it was first opened counts as on the platter, as it was. A file's name becomes
 * durable with its first sync; deleting a file is durable at once; a change of length becomes durable with a sync. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 64
#define FDS_MAX 4096
#define BLOCK 512

struct range {
  off_t from, to;
};

struct file {
  char path[PATH_MAX], image[PATH_MAX];
  struct range *dirty;
  size_t dirty_len, dirty_room;
};

static struct file files[FILES_MAX];
static size_t files_len;
static struct file *by_fd[FDS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *dir, *images, *fault;
static int lie;
static unsigned long long spill;

static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_unlink)(const char *);

__attribute__((constructor)) static void start(void) {
  real_open = dlsym(RTLD_NEXT, "open");
  real_close = dlsym(RTLD_NEXT, "close");
  real_write = dlsym(RTLD_NEXT, "write");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_unlink = dlsym(RTLD_NEXT, "unlink");
  dir = getenv("FORGET_DIR");
  images = getenv("FORGET_IMAGES");
  fault = getenv("FORGET_FAULT");
  lie = getenv("FORGET_LIE") != NULL;
  spill = getenv("FORGET_SPILL") ? strtoull(getenv("FORGET_SPILL"), NULL, 10) | 1 : 0;
}

static void die(const char *what) {
  fprintf(stderr, "forget: %s: %s\n", what, strerror(errno));
  _exit(99);
}

static int ends_with(const char *text, const char *end) {
  size_t text_len = strlen(text), end_len = strlen(end);
  return text_len >= end_len && strcmp(text + text_len - end_len, end) == 0;
}

static int is_tracked(const char *path) {
  return dir && images && strncmp(path, dir, strlen(dir)) == 0 &&
         (ends_with(path, ".db") || ends_with(path, "-wal") || ends_with(path, "-journal"));
}

/* Which fault is on: "ENOSPC", "EIO" or nothing. */
static int fault_is(const char *name) {
  char text[16] = {0};
  int fd;
  if (!fault || (fd = real_open(fault, O_RDONLY)) < 0) return 0;
  ssize_t len = read(fd, text, sizeof text - 1);
  real_close(fd);
  return len > 0 && strncmp(text, name, strlen(name)) == 0;
}

static void mark(struct file *file, off_t from, off_t to) {
  if (file->dirty_len > 0 && file->dirty[file->dirty_len - 1].to == from) {
    file->dirty[file->dirty_len - 1].to = to;
    return;
  }
  if (file->dirty_len == file->dirty_room) {
    file->dirty_room = file->dirty_room * 2 + 64;
    file->dirty = realloc(file->dirty, file->dirty_room * sizeof *file->dirty);
    if (!file->dirty) die("realloc");
  }
  file->dirty[file->dirty_len++] = (struct range){from, to};
}

/* Copies one range of the file as it is into the image. */
static void copy(int from_fd, int image_fd, struct range range) {
  static char buffer[1 << 16];
  while (range.from < range.to) {
    size_t want = (size_t)(range.to - range.from);
    if (want > sizeof buffer) want = sizeof buffer;
    ssize_t got = pread(from_fd, buffer, want, range.from);
    if (got < 0) die("pread");
    if (got == 0) return;
    if (real_pwrite(image_fd, buffer, (size_t)got, range.from) != got) die("image");
    range.from += got;
  }
}

/* What was written since the last sync reaches the platter. It is read through the process's own descriptor: to open and
 * close the file once more would drop the locks that SQLite holds on it. */
static void settle(struct file *file, int from_fd) {
  int image_fd = real_open(file->image, O_RDWR | O_CREAT, 0600);
  struct stat now;
  if (image_fd < 0 || fstat(from_fd, &now) < 0) die(file->path);
  for (size_t i = 0; i < file->dirty_len; i++) copy(from_fd, image_fd, file->dirty[i]);
  if (ftruncate(image_fd, now.st_size) < 0) die(file->image);
  file->dirty_len = 0;
  real_close(image_fd);
}

static struct file *track(const char *path, int existed, int fd) {
  for (size_t i = 0; i < files_len; i++)
    if (strcmp(files[i].path, path) == 0) return &files[i];
  if (files_len == FILES_MAX) die("too many files");
  struct file *file = &files[files_len++];
  const char *name = strrchr(path, '/');
  snprintf(file->path, sizeof file->path, "%s", path);
  snprintf(file->image, sizeof file->image, "%s/%s", images, name ? name + 1 : path);
  if (existed && access(file->image, F_OK) != 0) {
    mark(file, 0, LONG_MAX);
    settle(file, fd);
  } else if (existed && !fault_is("AFTER EIO")) {
    /* Written by an earlier process and perhaps not synced: the system still has it, and the next sync writes it. */
    mark(file, 0, LONG_MAX);
  }
  return file;
}

static int opened(const char *path, int flags, mode_t mode) {
  if (!real_open) start();
  int tracked = is_tracked(path);
  int existed = tracked && access(path, F_OK) == 0;
  int fd = real_open(path, flags, mode);
  if (fd < 0 || fd >= FDS_MAX) return fd;
  pthread_mutex_lock(&lock);
  by_fd[fd] = tracked ? track(path, existed, fd) : NULL;
  pthread_mutex_unlock(&lock);
  return fd;
}

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return opened(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return opened(path, flags, mode);
}

int close(int fd) {
  if (!real_close) start();
  if (fd >= 0 && fd < FDS_MAX) by_fd[fd] = NULL;
  return real_close(fd);
}

static struct file *tracked(int fd) { return fd >= 0 && fd < FDS_MAX ? by_fd[fd] : NULL; }

/* xorshift64: seeded, so that a run can be repeated as far as threads allow. */
static unsigned long long next_random(void) {
  spill ^= spill << 13;
  spill ^= spill >> 7;
  return spill ^= spill << 17;
}

static void wrote(struct file *file, int fd, off_t from, ssize_t len) {
  if (len <= 0) return;
  pthread_mutex_lock(&lock);
  mark(file, from, from + len);
  if (spill && next_random() % 8 == 0 && access(file->image, F_OK) == 0) {
    off_t early = (off_t)(next_random() % ((unsigned long long)len / BLOCK + 1)) * BLOCK;
    int image_fd = real_open(file->image, O_RDWR);
    if (image_fd < 0) die(file->image);
    copy(fd, image_fd, (struct range){from, from + early});
    real_close(image_fd);
  }
  pthread_mutex_unlock(&lock);
}

static ssize_t write_at(int fd, const void *bytes, size_t len, off_t at) {
  struct file *file = tracked(fd);
  if (file && fault_is("ENOSPC")) {
    errno = ENOSPC;
    return -1;
  }
  ssize_t done = real_pwrite(fd, bytes, len, at);
  if (file) wrote(file, fd, at, done);
  return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) { return write_at(fd, bytes, len, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at) { return write_at(fd, bytes, len, at); }

ssize_t write(int fd, const void *bytes, size_t len) {
  if (!real_write) start();
  struct file *file = tracked(fd);
  if (!file) return real_write(fd, bytes, len);
  if (fault_is("ENOSPC")) {
    errno = ENOSPC;
    return -1;
  }
  off_t at = lseek(fd, 0, SEEK_CUR);
  ssize_t done = real_write(fd, bytes, len);
  wrote(file, fd, at, done);
  return done;
}

static int synced(int fd, int (*real)(int)) {
  struct file *file = tracked(fd);
  if (!file) return real(fd);
  int failed = fault_is("EIO");
  pthread_mutex_lock(&lock);
  if (failed)
    file->dirty_len = 0;
  else if (!lie)
    settle(file, fd);
  pthread_mutex_unlock(&lock);
  if (failed) errno = EIO;
  return failed ? -1 : 0;
}

int fsync(int fd) { return synced(fd, real_fsync); }
int fdatasync(int fd) { return synced(fd, real_fdatasync); }

int unlink(const char *path) {
  int done = real_unlink(path);
  if (done == 0 && is_tracked(path)) {
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < files_len; i++)
      if (strcmp(files[i].path, path) == 0) {
        files[i].dirty_len = 0;
        real_unlink(files[i].image);
      }
    pthread_mutex_unlock(&lock);
  }
  return done;
}
