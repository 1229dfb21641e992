/* SPDX-License-Identifier: MIT */
/*
 * Lets a system call or an allocation of a command fail; to be preloaded. In the environment:
 *
 *	ERA_FAULT_KIND	read, write, flush, close, call (others), allocation; short, interrupted
 *	ERA_FAULT_NTH	the one of these that fails, from 1 on
 *	ERA_FAULT_ERRNO	with which error
 *	ERA_FAULT_HIT	a file that is made when it does
 *
 * short and interrupted are no failures, but what every caller must cope with: each read and write
 * goes as far as a part of it only, or is interrupted every other time. Messages on stderr always pass.
 * tests/faults.sh uses this.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define SHORT_SIZE 1536 /* bytes that a short read or write moves at most */

/* Under these names the C library has its own as well. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t nr, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
int __open64_2(const char *path, int flags);

static struct {
	bool begun;
	const char *kind;
	long left;
	int error;
	const char *hit;
} fault;

static void begin(void)
{
	const char *nth = getenv("ERA_FAULT_NTH");
	const char *error = getenv("ERA_FAULT_ERRNO");

	fault.begun = true;
	fault.kind = getenv("ERA_FAULT_KIND");
	fault.left = nth ? atol(nth) : 0;
	fault.error = error ? atoi(error) : EIO;
	fault.hit = getenv("ERA_FAULT_HIT");
	if (!fault.kind)
		fault.kind = "";
}

static bool is_kind(const char *kind)
{
	if (!fault.begun)
		begin();
	return !strcmp(fault.kind, kind);
}

/* Whether this one is it. */
static bool fails(const char *kind)
{
	if (!is_kind(kind) || --fault.left)
		return false;
	if (fault.hit)
		syscall(SYS_close, (int)syscall(SYS_openat, AT_FDCWD, fault.hit,
						O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	errno = fault.error;
	return true;
}

static bool is_interrupted(void)
{
	static unsigned nr;

	if (!is_kind("interrupted") || nr++ % 2)
		return false;
	errno = EINTR;
	return true;
}

static size_t cut(size_t size)
{
	return is_kind("short") && size > SHORT_SIZE ? SHORT_SIZE : size;
}

ssize_t read(int fd, void *buffer, size_t size)
{
	if (fails("read") || is_interrupted())
		return -1;
	return syscall(SYS_read, fd, buffer, cut(size));
}

ssize_t pread64(int fd, void *buffer, size_t size, off64_t offset)
{
	if (fails("read") || is_interrupted())
		return -1;
	return syscall(SYS_pread64, fd, buffer, cut(size), offset);
}

ssize_t write(int fd, const void *buffer, size_t size)
{
	if (fd != STDERR_FILENO && (fails("write") || is_interrupted()))
		return -1;
	return syscall(SYS_write, fd, buffer, cut(size));
}

ssize_t pwrite64(int fd, const void *buffer, size_t size, off64_t offset)
{
	if (fails("write") || is_interrupted())
		return -1;
	return syscall(SYS_pwrite64, fd, buffer, cut(size), offset);
}

int fsync(int fd)
{
	return fails("flush") ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return fails("flush") ? -1 : (int)syscall(SYS_fdatasync, fd);
}

/* A close that fails has closed. */
int close(int fd)
{
	int r = (int)syscall(SYS_close, fd);

	return fails("close") ? -1 : r;
}

void *malloc(size_t size)
{
	return fails("allocation") ? NULL : __libc_malloc(size);
}

void *calloc(size_t nr, size_t size)
{
	return fails("allocation") ? NULL : __libc_calloc(nr, size);
}

void *realloc(void *memory, size_t size)
{
	return fails("allocation") ? NULL : __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return fails("allocation") ? NULL : __libc_memalign(alignment, size);
}

/* All else that a command asks the kernel for, and that may be denied. */

static int open_any(const char *path, int flags, mode_t mode)
{
	return fails("call") ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	return open_any(path, flags, mode);
}

int __open64_2(const char *path, int flags)
{
	return open_any(path, flags, 0);
}

int fstat64(int fd, struct stat64 *st)
{
	return fails("call") ? -1 : (int)syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH);
}

int stat64(const char *path, struct stat64 *st)
{
	return fails("call") ? -1 : (int)syscall(SYS_newfstatat, AT_FDCWD, path, st, 0);
}

off64_t lseek64(int fd, off64_t offset, int whence)
{
	return fails("call") ? -1 : syscall(SYS_lseek, fd, offset, whence);
}

int ftruncate64(int fd, off64_t size)
{
	return fails("call") ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t size)
{
	return fails("call") ? -1 : (int)syscall(SYS_fallocate, fd, mode, offset, size);
}

int fchmod(int fd, mode_t mode)
{
	return fails("call") ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

int fchown(int fd, uid_t uid, gid_t gid)
{
	return fails("call") ? -1 : (int)syscall(SYS_fchown, fd, uid, gid);
}

int flock(int fd, int operation)
{
	return fails("call") ? -1 : (int)syscall(SYS_flock, fd, operation);
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
	return fails("call") ? -1 : (int)syscall(SYS_linkat, from, old, to, new, flags);
}

int rename(const char *old, const char *new)
{
	return fails("call") ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, 0);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
		   void *argument)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return fails("call") ? fault.error : real(thread, attributes, run, argument);
}
