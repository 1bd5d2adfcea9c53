/* A disk that fails: the n-th write of a process, and all after it, end with an error. For LD_PRELOAD, in tests only.
 *
 * fault_arm(n, code): from now on the n-th call that writes to a regular file (write, pwrite, fsync, ...) and every later one fails.
 * fault_left(): how many calls are left until then; 0 or less once one has failed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_long left = 1L << 40;
static int code = EIO;

void fault_arm(long n, int error) {
  code = error;
  atomic_store(&left, n);
}

long fault_left(void) { return atomic_load(&left); }

static int fails(int file) {
  struct stat what;
  if (fstat(file, &what) != 0 || !S_ISREG(what.st_mode)) return 0;
  if (atomic_fetch_sub(&left, 1) > 1) return 0;
  errno = code;
  return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *from, size_t size) { return fails(file) ? -1 : REAL(write)(file, from, size); }
ssize_t pwrite(int file, const void *from, size_t size, off_t at) {
  return fails(file) ? -1 : REAL(pwrite)(file, from, size, at);
}
ssize_t pwrite64(int file, const void *from, size_t size, off_t at) {
  return fails(file) ? -1 : REAL(pwrite64)(file, from, size, at);
}
int fsync(int file) { return fails(file) ? -1 : REAL(fsync)(file); }
int fdatasync(int file) { return fails(file) ? -1 : REAL(fdatasync)(file); }
int ftruncate(int file, off_t size) { return fails(file) ? -1 : REAL(ftruncate)(file, size); }
int ftruncate64(int file, off_t size) { return fails(file) ? -1 : REAL(ftruncate64)(file, size); }
