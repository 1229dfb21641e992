/* SPDX-License-Identifier: MIT */
/* Unpacks images into a temporary directory. */
#include "tests/support/fixture.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK 65536
#define HOLE 4096
#define NR_PATHS 16

extern char **environ;

static char directory[PATH_MAX / 2];

static const char *fixtures(void)
{
	const char *path = getenv("ERA_FIXTURES");

	return path ? path : "tests/fixtures";
}

static int is_name(const struct dirent *entry)
{
	return entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
	       strlen(entry->d_name) < sizeof(struct fixture_name);
}

struct fixture_name *fixture_names(size_t *nr)
{
	struct dirent **entries;
	int n = scandir(fixtures(), &entries, is_name, alphasort);
	struct fixture_name *names = calloc(n > 0 ? (size_t)n : 1, sizeof(*names));

	if (n < 0 || !names) {
		perror(fixtures());
		abort();
	}
	for (int i = 0; i < n; i++) {
		strcpy(names[i].name, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	*nr = (size_t)n;
	return names;
}

/* The temporary directory. */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void fixture_set_up(void)
{
	const char *parent = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%s/era-test-XXXXXX", parent ? parent : "/tmp");
	cr_assert(mkdtemp(directory), "%s: %s", directory, strerror(errno));
}

void fixture_tear_down(void)
{
	nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fixture_path(const char *name)
{
	static char paths[NR_PATHS][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % NR_PATHS];

	snprintf(path, PATH_MAX, "%s/%s", directory, name);
	return path;
}

const char *fixture_file(const char *name, const void *bytes, size_t size)
{
	const char *path = fixture_path(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	cr_assert(fd >= 0 && !ftruncate(fd, (off_t)size), "%s: %s", path, strerror(errno));
	if (bytes)
		cr_assert(write(fd, bytes, size) == (ssize_t)size, "%s", path);
	close(fd);
	return path;
}

/* Unpacking. */

static bool is_zero(const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

/* Leaves holes where there are zeroes. */
static void write_sparse(int fd, const char *bytes, size_t size, off_t offset)
{
	for (size_t i = 0; i < size; i += HOLE) {
		size_t n = size - i < HOLE ? size - i : HOLE;

		if (!is_zero(bytes + i, n))
			cr_assert(pwrite(fd, bytes + i, n, offset + (off_t)i) == (ssize_t)n);
	}
}

static void copy_sparse(int from, int to, uint64_t size)
{
	static char chunk[CHUNK];
	off_t offset = 0;

	for (;;) {
		size_t got = 0;
		ssize_t n = 1;

		while (got < CHUNK && n > 0) {
			n = read(from, chunk + got, CHUNK - got);
			got += n > 0 ? (size_t)n : 0;
		}
		if (!got)
			break;
		write_sparse(to, chunk, got, offset);
		offset += (off_t)got;
	}
	cr_assert(!ftruncate(to, size ? (off_t)size : offset));
}

static pid_t spawn_unpacker(const char *program, const char *packed, int fds[2])
{
	const char *const argv[] = {program, "-dc", packed, NULL};
	posix_spawn_file_actions_t actions;
	pid_t pid;

	cr_assert(!pipe2(fds, O_CLOEXEC));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
	errno = posix_spawnp(&pid, program, &actions, NULL, (char *const *)(uintptr_t)argv,
			     environ);
	cr_assert_eq(errno, 0, "%s: %s", program, strerror(errno));
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	return pid;
}

static void unpack(const char *program, const char *packed, const char *path, uint64_t size)
{
	int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int status = -1;
	int fds[2];
	pid_t pid;

	cr_assert(to >= 0, "%s: %s", path, strerror(errno));
	pid = spawn_unpacker(program, packed, fds);
	copy_sparse(fds[0], to, size);
	close(fds[0]);
	close(to);
	waitpid(pid, &status, 0);
	cr_assert_eq(status, 0, "%s cannot unpack %s", program, packed);
}

void fixture_open(struct fixture *fixture, const char *name)
{
	char path[PATH_MAX];
	bool xz;

	snprintf(path, sizeof(path), "%s/%s/truth.txt", fixtures(), name);
	cr_assert(truth_load(&fixture->truth, path), "%s is not understood", path);
	snprintf(path, sizeof(path), "%s/%s/meta.img.xz", fixtures(), name);
	xz = !access(path, R_OK);
	if (!xz)
		snprintf(path, sizeof(path), "%s/%s/meta.img.gz", fixtures(), name);
	snprintf(fixture->image, sizeof(fixture->image), "%s/%s.img", directory, name);
	unpack(xz ? "xz" : "gzip", path, fixture->image, fixture->truth.nr_bytes);
}
