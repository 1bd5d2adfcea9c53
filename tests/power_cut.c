/* What a process writes, in order, so that a power cut can be played afterwards. For LD_PRELOAD, in tests only.
 *
 * cut_record(path): from now on each write to a regular file, each sync, and what stands in a folder when it is synced,
 * goes to the end of the file `path`. cut_note(text): the process told somebody this, so it has to be true from here on.
 * A record: kind (w, t, s, d, n), inode, offset, size, then as many bytes. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int record = -1;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

static void append(uint64_t kind, uint64_t inode, uint64_t offset, const void *from, uint64_t size) {
  uint64_t head[4] = {kind, inode, offset, size};
  struct iovec parts[2] = {{head, sizeof head}, {(void *)from, size}};
  if (writev(record, parts, from ? 2 : 1) < 0) _exit(99);
}

void cut_record(const char *path) { record = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600); }

void cut_note(const char *text) {
  pthread_mutex_lock(&order);
  append('n', 0, 0, text, strlen(text));
  pthread_mutex_unlock(&order);
}

/* Begin a recorded call: the inode of a regular file or a folder, 0 when there is nothing to record. */
static uint64_t begin(int file, int folders) {
  struct stat what;
  if (record < 0 || fstat(file, &what) != 0) return 0;
  if (!S_ISREG(what.st_mode) && !(folders && S_ISDIR(what.st_mode))) return 0;
  pthread_mutex_lock(&order);
  return what.st_ino;
}

static void list(int file, uint64_t inode) {
  char names[65536], path[64];
  size_t used = 0;
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  DIR *folder = opendir(path);
  for (struct dirent *entry; folder && (entry = readdir(folder));)
    if (used + 300 < sizeof names)
      used += (size_t)snprintf(names + used, 300, "%lu %s\n", (unsigned long)entry->d_ino, entry->d_name);
  if (folder) closedir(folder);
  append('d', inode, 0, names, used);
}

static ssize_t written(ssize_t done, uint64_t inode, const void *from, off_t at) {
  if (inode) {
    if (done > 0) append('w', inode, (uint64_t)at, from, (uint64_t)done);
    pthread_mutex_unlock(&order);
  }
  return done;
}

ssize_t write(int file, const void *from, size_t size) {
  uint64_t inode = begin(file, 0);
  ssize_t done = REAL(write)(file, from, size);
  return written(done, inode, from, inode ? lseek(file, 0, SEEK_CUR) - done : 0);
}

ssize_t pwrite(int file, const void *from, size_t size, off_t at) {
  uint64_t inode = begin(file, 0);
  return written(REAL(pwrite)(file, from, size, at), inode, from, at);
}

ssize_t pwrite64(int file, const void *from, size_t size, off_t at) {
  uint64_t inode = begin(file, 0);
  return written(REAL(pwrite64)(file, from, size, at), inode, from, at);
}

static int synced(int done, uint64_t inode, int file) {
  struct stat what;
  if (inode) {
    if (done == 0 && fstat(file, &what) == 0 && S_ISDIR(what.st_mode)) list(file, inode);
    else if (done == 0) append('s', inode, 0, NULL, 0);
    pthread_mutex_unlock(&order);
  }
  return done;
}

int fsync(int file) {
  uint64_t inode = begin(file, 1);
  return synced(REAL(fsync)(file), inode, file);
}

int fdatasync(int file) {
  uint64_t inode = begin(file, 1);
  return synced(REAL(fdatasync)(file), inode, file);
}

static int cut(int done, uint64_t inode, off_t size) {
  if (inode) {
    if (done == 0) append('t', inode, (uint64_t)size, NULL, 0);
    pthread_mutex_unlock(&order);
  }
  return done;
}

int ftruncate(int file, off_t size) {
  uint64_t inode = begin(file, 0);
  return cut(REAL(ftruncate)(file, size), inode, size);
}

int ftruncate64(int file, off_t size) {
  uint64_t inode = begin(file, 0);
  return cut(REAL(ftruncate64)(file, size), inode, size);
}
