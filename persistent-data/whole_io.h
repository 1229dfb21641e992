/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing all that was asked for, from byte `offset` of a file or device on: what the
 * system does in part, or breaks off for a signal, is gone on with.
 */
#ifndef PERSISTENT_DATA_WHOLE_IO_H
#define PERSISTENT_DATA_WHOLE_IO_H

#include <stddef.h>
#include <stdint.h>

/* 0, or PD_ERR_IO with errno telling more; EIO: there is no more to be read. */
int read_whole(int fd, void *buffer, size_t length, uint64_t offset);
int write_whole(int fd, const void *buffer, size_t length, uint64_t offset);

/* The same from where a file is at; it need not be one that has places. *nr: what was read, 0 at its end. */
int read_stream(int fd, void *buffer, size_t length, size_t *nr);
/*
 * In writes of STREAM_WRITE_MAX bytes. Linux takes memory for a file in pieces as large as the writes.
 * The largest that it keeps lists of for each processor are of 32 KiB; larger ones it seeks elsewhere,
 * and on a virtual machine, whose host has to get that memory first, writing can take three times as long.
 */
#define STREAM_WRITE_MAX (32 * 1024)
int write_stream(int fd, const void *buffer, size_t length);

/*
 * Has a pipe hold 256 KiB or more, where that is allowed: so its reader and its writer wait for each
 * other less often. Anything else than a pipe stays as it is.
 */
void widen_pipe(int fd);

#endif
