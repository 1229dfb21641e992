/* SPDX-License-Identifier: MIT */
/* Which data blocks are marked, for many threads. */
#include "era/epochs.h"
#include "persistent-data/error.h"

#include <stdlib.h>
#include <string.h>

int epochs_init(struct epochs *epochs, uint32_t nr_blocks)
{
	memset(epochs, 0, sizeof(*epochs));
	pthread_mutex_init(&epochs->mutex, NULL);
	pthread_cond_init(&epochs->drained, NULL);
	epochs->nr_words = (size_t)nr_blocks / 64 + 1;
	for (int i = 0; i < 2; i++) {
		/* calloc: pages of a device that is hardly written cost no memory. */
		epochs->pair[i].marked = calloc(epochs->nr_words, sizeof(uint64_t));
		if (!epochs->pair[i].marked)
			return PD_ERR_NO_MEMORY;
	}
	return PD_OK;
}

void epochs_destroy(struct epochs *epochs)
{
	for (int i = 0; i < 2; i++)
		free((void *)epochs->pair[i].marked);
	pthread_mutex_destroy(&epochs->mutex);
	pthread_cond_destroy(&epochs->drained);
}

/* Taking part. */

/*
 * We are counted before we look at the epoch once more; a rollover opens the next epoch before it looks
 * at the count. All four have one order, which every thread sees (that is C's default for atomics): so
 * either the rollover sees us and waits, or we see the next epoch, and are in the old one no longer.
 * Whoever tests bits of an epoch, and writes to the origin because of them, is waited for. Epochs do
 * not come back: there are no more of them than eras.
 */
unsigned epochs_enter(struct epochs *epochs)
{
	for (;;) {
		unsigned epoch = atomic_load(&epochs->now);

		atomic_fetch_add(&epochs->pair[epoch & 1].nr_writes, 1);
		if (atomic_load(&epochs->now) == epoch)
			return epoch;
		epochs_leave(epochs, epoch);
	}
}

void epochs_leave(struct epochs *epochs, unsigned epoch)
{
	/* Who drains says so before looking at the number: one of us two sees what the other did. */
	if (atomic_fetch_sub(&epochs->pair[epoch & 1].nr_writes, 1) != 1 ||
	    !atomic_load(&epochs->draining))
		return;
	pthread_mutex_lock(&epochs->mutex);
	pthread_cond_broadcast(&epochs->drained);
	pthread_mutex_unlock(&epochs->mutex);
}

unsigned epochs_open_next(struct epochs *epochs)
{
	return atomic_fetch_add(&epochs->now, 1);
}

/* What is clear is only looked at: so pages that nobody has marked anything in still cost no memory. */
static void clear_marked(const struct epochs *epochs, struct epoch *epoch)
{
	for (size_t i = 0; i < epochs->nr_words; i++)
		if (atomic_load_explicit(&epoch->marked[i], memory_order_relaxed))
			atomic_store_explicit(&epoch->marked[i], 0, memory_order_relaxed);
}

void epochs_end(struct epochs *epochs, unsigned old)
{
	struct epoch *epoch = &epochs->pair[old & 1];

	pthread_mutex_lock(&epochs->mutex);
	atomic_store(&epochs->draining, true);
	while (atomic_load(&epoch->nr_writes))
		pthread_cond_wait(&epochs->drained, &epochs->mutex);
	atomic_store(&epochs->draining, false);
	pthread_mutex_unlock(&epochs->mutex);
	clear_marked(epochs, epoch);
}

/* Bits. */

/* Of the word that holds bit `begin`: the bits of [begin, end). */
static uint64_t word_mask(uint32_t begin, uint32_t end)
{
	uint64_t mask = UINT64_MAX << (begin % 64);

	if (end / 64 == begin / 64)
		mask &= (UINT64_C(1) << (end % 64)) - 1;
	return mask;
}

static uint32_t next_word(uint32_t begin)
{
	return (begin | 63) + 1;
}

bool epochs_is_marked(const struct epochs *epochs, unsigned epoch, uint32_t begin, uint32_t end)
{
	const _Atomic uint64_t *marked = epochs->pair[epoch & 1].marked;

	for (; begin < end; begin = next_word(begin)) {
		uint64_t mask = word_mask(begin, end);

		if ((atomic_load_explicit(&marked[begin / 64], memory_order_acquire) & mask) !=
		    mask)
			return false;
	}
	return true;
}

void epochs_set_marked(struct epochs *epochs, unsigned epoch, uint32_t begin, uint32_t end)
{
	_Atomic uint64_t *marked = epochs->pair[epoch & 1].marked;

	for (; begin < end; begin = next_word(begin))
		atomic_fetch_or_explicit(&marked[begin / 64], word_mask(begin, end),
					 memory_order_release);
}
