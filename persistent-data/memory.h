/* SPDX-License-Identifier: MIT */
/* Memory as the machine has it. */
#ifndef PERSISTENT_DATA_MEMORY_H
#define PERSISTENT_DATA_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define MEMORY_PAGE 4096
#define CACHE_LINE 64 /* bytes, as most processors have it */

/*
 * Gets the pages of fresh memory, all of which will be used: one fault at a time that is dear. What the
 * memory holds does not change. Where the kernel cannot do it, nothing happens. */
static inline void memory_populate(void *memory, size_t size)
{
#ifdef MADV_POPULATE_WRITE /* since Linux 5.14 */
	uintptr_t begin = ((uintptr_t)memory + MEMORY_PAGE - 1) & ~(uintptr_t)(MEMORY_PAGE - 1);
	uintptr_t end = ((uintptr_t)memory + size) & ~(uintptr_t)(MEMORY_PAGE - 1);

	if (begin < end)
		(void)madvise((void *)begin, end - begin, MADV_POPULATE_WRITE);
#else
	(void)memory;
	(void)size;
#endif
}

#endif
