/* SPDX-License-Identifier: MIT */
/*
 * VECTOR_LOOP, before a function that is one plain loop over an array: compilers make it once for
 * every x86-64 machine, and once for those with wider vectors, and the right one is taken at run time.
 */
#ifndef PERSISTENT_DATA_VECTOR_H
#define PERSISTENT_DATA_VECTOR_H

/* Sanitizers are not ready yet when that choice is made. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__OPTIMIZE__) && \
	!defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define VECTOR_LOOP __attribute__((target_clones("avx2", "default")))
#else
#define VECTOR_LOOP
#endif

#endif
