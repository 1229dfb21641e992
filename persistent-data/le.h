/* SPDX-License-Identifier: MIT */
/*
 * Little-endian integers at any address: all integers on the disk are little-endian. On a machine
 * that is little-endian too these are plain loads and stores.
 */
#ifndef PERSISTENT_DATA_LE_H
#define PERSISTENT_DATA_LE_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t get_le32(const void *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
	return le32toh(value);
}

static inline uint64_t get_le64(const void *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	return le64toh(value);
}

static inline void put_le32(void *to, uint32_t value)
{
	value = htole32(value);
	memcpy(to, &value, sizeof(value));
}

static inline void put_le64(void *to, uint64_t value)
{
	value = htole64(value);
	memcpy(to, &value, sizeof(value));
}

/* Arrays of n integers; compilers make block copies of these loops where no byte moves. */
static inline void get_le32_array(uint32_t *to, const void *from, size_t n)
{
	const uint8_t *bytes = from;

	for (size_t i = 0; i < n; i++)
		to[i] = get_le32(bytes + i * sizeof(*to));
}

static inline void get_le64_array(uint64_t *to, const void *from, size_t n)
{
	const uint8_t *bytes = from;

	for (size_t i = 0; i < n; i++)
		to[i] = get_le64(bytes + i * sizeof(*to));
}

/*
 * The same where they stand, if they are this machine's own integers already, or else a copy of them.
 * They must be aligned as integers are.
 */
static inline const uint32_t *see_le32_array(const void *from, size_t n, uint32_t *copy)
{
	if (htole32(1) == 1)
		return from;
	get_le32_array(copy, from, n);
	return copy;
}

static inline const uint64_t *see_le64_array(const void *from, size_t n, uint64_t *copy)
{
	if (htole32(1) == 1)
		return from;
	get_le64_array(copy, from, n);
	return copy;
}

static inline void put_le32_array(uint8_t *to, const void *from, size_t n)
{
	const uint32_t *values = from;

	for (size_t i = 0; i < n; i++)
		put_le32(to + i * sizeof(*values), values[i]);
}

static inline void put_le64_array(uint8_t *to, const void *from, size_t n)
{
	const uint64_t *values = from;

	for (size_t i = 0; i < n; i++)
		put_le64(to + i * sizeof(*values), values[i]);
}

#endif
