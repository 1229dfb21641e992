/* SPDX-License-Identifier: MIT */
/* A block device for the benchmark, and what fio reaches on it. Takes root, losetup and fio. */
#ifndef TESTS_BENCH_DEVICE_H
#define TESTS_BENCH_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#define DEVICE_PATH_MAX 64

/* A loop device on a file, which it reads directly. false: it cannot be had. */
bool device_attach(const char *file, char path[DEVICE_PATH_MAX]);
void device_detach(const char *path);

/*
 * The seconds that fio takes for a whole device of that many bytes, with 32 reads of 1 MiB under way,
 * its start not included. 0: it cannot be had.
 */
double device_fio(const char *path, uint64_t size);

#endif
