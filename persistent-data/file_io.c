/* SPDX-License-Identifier: MIT */
/* Files and block devices as devices of blocks. */
#include "persistent-data/block_io.h"
#include "persistent-data/checksum.h"
#include "persistent-data/error.h"
#include "persistent-data/thread.h"
#include "persistent-data/whole_io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads of a file that are worth being under way: threads that are done with one find another. */
#define FILE_AHEAD 3

/*
 * Reads that were begun wait in a queue, from which helping threads take them. One that nobody has
 * taken when its caller wants it is read by the caller: so no time is lost where threads are slow to
 * start or cannot be had.
 *
 * What is read from a file is copied from memory, mostly, which keeps a processor busy: others can do
 * that, and checksum what they have in their caches then; and their caller does it too, rather than
 * wait for them. A device is what takes time itself: threads wait for it, and do nothing else.
 */
struct file_io {
	struct block_io io;
	int fd;
	bool is_device;
	/* Blocks: to read fewer oneself takes less than to tell another thread. */
	uint32_t worth_handing_over;
	pthread_mutex_t lock; /* of all that follows, and of the state of reads */
	pthread_cond_t queued, done;
	struct block_read *queue;
	struct block_read **queue_end; /* where the next one goes */
	unsigned nr_under_way;	       /* in the queue or being read by a helper */
	bool resting;
	unsigned nr_helpers, nr_helpers_max;
	pthread_t helpers[BLOCK_IO_AHEAD_MAX];
};

static int file_read(struct block_io *io, uint64_t first, uint32_t count, void *buffer)
{
	const struct file_io *file = (struct file_io *)io;

	return read_whole(file->fd, buffer, (size_t)count * METADATA_BLOCK_SIZE,
			  first * METADATA_BLOCK_SIZE);
}

static int file_write(struct block_io *io, uint64_t first, uint32_t count, const void *buffer)
{
	const struct file_io *file = (struct file_io *)io;

	return write_whole(file->fd, buffer, (size_t)count * METADATA_BLOCK_SIZE,
			   first * METADATA_BLOCK_SIZE);
}

static int file_flush(struct block_io *io)
{
	const struct file_io *file = (struct file_io *)io;

	return fdatasync(file->fd) ? PD_ERR_IO : PD_OK;
}

/* Takes a read out of the queue. */
static void take(struct file_io *file, const struct block_read *read)
{
	struct block_read **at = &file->queue;

	while (*at != read)
		at = &(*at)->next;
	*at = read->next;
	if (!*at)
		file->queue_end = at;
}

/* With the lock held, but for while it reads. */
static void read_queued(struct file_io *file, struct block_read *read)
{
	take(file, read);
	read->state = BLOCK_READ_GOING_ON;
	pthread_mutex_unlock(&file->lock);
	read->result = file->is_device
			       ? block_io_read(&file->io, read->first, read->count, read->buffer)
			       : block_io_read_now(&file->io, read);
	read->error = errno;
	pthread_mutex_lock(&file->lock);
	read->state = BLOCK_READ_DONE;
	file->nr_under_way--;
}

static void *help(void *context)
{
	struct file_io *file = context;
	struct block_read *read;

	pthread_mutex_lock(&file->lock);
	while (!file->resting) {
		read = file->queue;
		if (!read) {
			pthread_cond_wait(&file->queued, &file->lock);
			continue;
		}
		read_queued(file, read);
		pthread_cond_signal(&file->done);
	}
	pthread_mutex_unlock(&file->lock);
	return NULL;
}

static void start_helper(struct file_io *file)
{
	pthread_t *thread = &file->helpers[file->nr_helpers];

	if (file->is_device ? thread_start(thread, help, file)
			    : thread_start_elsewhere(thread, help, file))
		file->nr_helpers++;
}

static bool file_begin(struct block_io *io, struct block_read *read)
{
	struct file_io *file = (struct file_io *)io;

	if (!io->nr_ahead || read->count < file->worth_handing_over)
		return false;
	pthread_mutex_lock(&file->lock);
	*file->queue_end = read;
	file->queue_end = &read->next;
	read->next = NULL;
	read->state = BLOCK_READ_QUEUED;
	file->nr_under_way++;
	/* A single one is soon wanted: its caller will see to it. */
	if (file->nr_under_way > 1 && file->nr_under_way > file->nr_helpers &&
	    file->nr_helpers < file->nr_helpers_max)
		start_helper(file);
	pthread_cond_signal(&file->queued);
	pthread_mutex_unlock(&file->lock);
	return true;
}

static void wait_for(struct file_io *file, const struct block_read *read)
{
	while (read->state != BLOCK_READ_DONE) {
		if (file->queue && !file->is_device)
			read_queued(file, file->queue);
		else
			pthread_cond_wait(&file->done, &file->lock);
	}
}

static int file_finish(struct block_io *io, struct block_read *read)
{
	struct file_io *file = (struct file_io *)io;

	pthread_mutex_lock(&file->lock);
	if (read->state == BLOCK_READ_QUEUED)
		read_queued(file, read);
	wait_for(file, read);
	pthread_mutex_unlock(&file->lock);
	if (file->is_device && !read->result && read->salts)
		block_salts(read->buffer, read->count, read->salts);
	errno = read->error;
	return read->result;
}

static void file_rest(struct block_io *io)
{
	struct file_io *file = (struct file_io *)io;

	pthread_mutex_lock(&file->lock);
	file->resting = true;
	pthread_cond_broadcast(&file->queued);
	pthread_mutex_unlock(&file->lock);
	while (file->nr_helpers)
		pthread_join(file->helpers[--file->nr_helpers], NULL);
	file->resting = false;
}

static void file_close(struct block_io *io)
{
	struct file_io *file = (struct file_io *)io;

	file_rest(io);
	pthread_cond_destroy(&file->done);
	pthread_cond_destroy(&file->queued);
	pthread_mutex_destroy(&file->lock);
	free(file);
}

static const struct block_io_ops file_ops = {file_read,	 file_write,  file_flush, file_close,
					     file_begin, file_finish, file_rest};

static int device_size(int fd, uint64_t *bytes)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) || ioctl(fd, BLKGETSIZE64, bytes))
		return PD_ERR_IO;
	return PD_OK;
}

/* A device works best on many reads at once. A file is read by as many processors as there are. */
static void decide_ahead(struct file_io *file)
{
	unsigned others = thread_nr_processors() - 1;

	if (file->is_device)
		file->io.nr_ahead = file->nr_helpers_max = BLOCK_IO_AHEAD_MAX;
	else if (others) {
		file->io.nr_ahead = FILE_AHEAD;
		file->nr_helpers_max = others < FILE_AHEAD ? others : FILE_AHEAD;
	}
}

static int file_size(int fd, uint64_t *bytes, bool *is_device)
{
	struct stat st;

	if (fstat(fd, &st))
		return PD_ERR_IO;
	*is_device = S_ISBLK(st.st_mode);
	if (*is_device)
		return device_size(fd, bytes);
	if (!S_ISREG(st.st_mode))
		return PD_ERR_UNSUPPORTED;
	*bytes = (uint64_t)st.st_size;
	return PD_OK;
}

int block_io_open_fd(int fd, struct block_io **result)
{
	struct file_io *file;
	bool is_device;
	uint64_t bytes;
	int r = file_size(fd, &bytes, &is_device);

	if (r)
		return r;
	file = calloc(1, sizeof(*file));
	if (!file)
		return PD_ERR_NO_MEMORY;
	file->io = (struct block_io){&file_ops, bytes / METADATA_BLOCK_SIZE, 0};
	file->fd = fd;
	file->is_device = is_device;
	decide_ahead(file);
	file->worth_handing_over = is_device ? 1 : 16;
	file->queue_end = &file->queue;
	pthread_mutex_init(&file->lock, NULL);
	pthread_cond_init(&file->queued, NULL);
	pthread_cond_init(&file->done, NULL);
	*result = &file->io;
	return PD_OK;
}
