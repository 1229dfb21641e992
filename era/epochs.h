/* SPDX-License-Identifier: MIT */
/*
 * Which data blocks are durably marked in the current era, for many threads: to ask takes no lock.
 *
 * An epoch is the time between two rollovers. A write takes part in one from the test of its bits to its
 * end; whoever begins an era opens the next epoch, whose bits are all clear, and waits for those who are
 * left in the old one. So there are two copies of the bits, for even and odd epochs.
 */
#ifndef ERA_EPOCHS_H
#define ERA_EPOCHS_H

#include "persistent-data/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Aligned: those of two epochs are counted by different threads at the same time. */
struct epoch {
	_Alignas(CACHE_LINE) _Atomic uint64_t nr_writes; /* that take part in it */
	_Atomic uint64_t *marked;
};

struct epochs {
	struct epoch pair[2];
	_Alignas(CACHE_LINE) _Atomic unsigned now;
	_Atomic bool draining; /* somebody waits for the end of an epoch */
	pthread_mutex_t mutex; /* for that */
	pthread_cond_t drained;
	size_t nr_words;
};

/* Data blocks, below 2^32. PD_ERR_NO_MEMORY; destroy in any case. */
int epochs_init(struct epochs *epochs, uint32_t nr_blocks);
void epochs_destroy(struct epochs *epochs);

/* Takes part in the epoch that is going on, and returns it; leave it in the end. */
unsigned epochs_enter(struct epochs *epochs);
void epochs_leave(struct epochs *epochs, unsigned epoch);

static inline unsigned epochs_now(const struct epochs *epochs)
{
	return atomic_load(&epochs->now);
}

/* Of data blocks [begin, end), in an epoch that cannot end meanwhile: whether all are marked. */
bool epochs_is_marked(const struct epochs *epochs, unsigned epoch, uint32_t begin, uint32_t end);
void epochs_set_marked(struct epochs *epochs, unsigned epoch, uint32_t begin, uint32_t end);

/* Opens the next epoch. Returns the old one, which the same thread has to end before it opens another. */
unsigned epochs_open_next(struct epochs *epochs);

/* Waits until nobody takes part in it any more, and clears its bits. */
void epochs_end(struct epochs *epochs, unsigned old);

#endif
