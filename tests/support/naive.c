/* SPDX-License-Identifier: MIT */
/* Reads metadata plainly, and says what the commands should print of it. */
#include "tests/support/naive.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096
#define MAX_DEPTH 8

/* The salts of the types of block. */
#define SUPERBLOCK 146538381
#define NODE 121107
#define ARRAY_BLOCK 595846735
#define INDEX_BLOCK 160478
#define BITMAP 240779

#define COUNTS_PER_BITMAP 16320

static void *allocate(size_t nr, size_t size)
{
	void *memory = calloc(nr ? nr : 1, size);

	if (!memory)
		abort();
	return memory;
}

static void complain(struct naive_image *image, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void complain(struct naive_image *image, const char *format, ...)
{
	va_list args;

	if (image->problem[0])
		return;
	va_start(args, format);
	vsnprintf(image->problem, sizeof(image->problem), format, args);
	va_end(args);
}

/* Files and blocks. */

bool naive_open(struct naive_image *image, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *bytes;

	*image = (struct naive_image){.bytes = NULL};
	if (fd < 0)
		return false;
	if (fstat(fd, &st))
		st.st_size = 0;
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (bytes == MAP_FAILED)
		return false;
	image->bytes = bytes;
	image->nr_blocks = (uint64_t)st.st_size / BLOCK;
	return true;
}

void naive_close(struct naive_image *image)
{
	if (image->bytes)
		munmap((void *)(uintptr_t)image->bytes, image->nr_blocks * BLOCK);
	image->bytes = NULL;
}

static uint64_t get(const uint8_t *bytes, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

static uint32_t get32(const uint8_t *bytes)
{
	return (uint32_t)get(bytes, 4);
}

static uint64_t get64(const uint8_t *bytes)
{
	return get(bytes, 8);
}

static uint32_t crc32c(const uint8_t *bytes, size_t size)
{
	static uint32_t table[256];
	uint32_t crc = 0xffffffff;

	for (uint32_t i = 0; !table[255] && i < 256; i++) {
		uint32_t entry = i;

		for (int bit = 0; bit < 8; bit++)
			entry = entry >> 1 ^ (entry & 1 ? 0x82f63b78 : 0);
		table[i] = entry;
	}
	for (size_t i = 0; i < size; i++)
		crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 0xff];
	return crc;
}

/* A block that is wrong reads as one of zeroes. */
static const uint8_t *block_at(struct naive_image *image, uint64_t b, uint32_t type)
{
	static const uint8_t zeroes[BLOCK];
	const uint8_t *block = image->bytes + b * BLOCK;

	if (b >= image->nr_blocks)
		complain(image, "block %llu: past the end", (unsigned long long)b);
	else if ((crc32c(block + 4, BLOCK - 4) ^ type) != get32(block))
		complain(image, "block %llu: checksum", (unsigned long long)b);
	else if (get64(block + (type == ARRAY_BLOCK ? 16 : 8)) != b)
		complain(image, "block %llu: its own number", (unsigned long long)b);
	else
		return block;
	return zeroes;
}

/* Trees. */

struct walk {
	struct naive_image *image;
	unsigned value_size;
	bool (*enter)(void *context, uint64_t block); /* whether to go into a node; NULL: always */
	void (*leaf)(void *context, uint64_t key, const uint8_t *value);
	void *context;
	uint64_t next_key; /* at least */
	unsigned depth;
};

static void walk_node(struct walk *walk, uint64_t b)
{
	const uint8_t *node;
	uint32_t flags, nr, max, value_size;

	if (walk->depth == MAX_DEPTH)
		return complain(walk->image, "block %llu: too deep", (unsigned long long)b);
	if (walk->enter && !walk->enter(walk->context, b))
		return;
	node = block_at(walk->image, b, NODE);
	flags = get32(node + 4);
	nr = get32(node + 16);
	max = get32(node + 20);
	value_size = get32(node + 24);
	if ((flags != 1 && flags != 2) || value_size != (flags == 1 ? 8 : walk->value_size) ||
	    max != (BLOCK - 32) / (8 + value_size) / 3 * 3 || nr > max)
		return complain(walk->image, "block %llu: node header", (unsigned long long)b);
	walk->depth++;
	for (uint32_t i = 0; i < nr; i++) {
		uint64_t key = get64(node + 32 + 8 * i);
		const uint8_t *value = node + 32 + 8 * max + value_size * i;

		if (key < walk->next_key)
			complain(walk->image, "block %llu: key %u", (unsigned long long)b, i);
		walk->next_key = key;
		if (flags == 1) {
			walk_node(walk, get64(value));
			continue;
		}
		walk->next_key = key + 1;
		if (walk->leaf)
			walk->leaf(walk->context, key, value);
	}
	walk->depth--;
}

static void walk_tree(struct walk walk, uint64_t root)
{
	walk_node(&walk, root);
}

/* An array of nr values, copied one after the other as they are on disk. */
struct load_array {
	struct naive_image *image;
	uint8_t *values;
	uint64_t nr, got;
	uint32_t value_size;
};

static void load_array_block(void *context, uint64_t key, const uint8_t *value)
{
	struct load_array *load = context;
	uint64_t b = get64(value);
	const uint8_t *block = block_at(load->image, b, ARRAY_BLOCK);
	uint32_t max = (BLOCK - 24) / load->value_size;
	uint64_t left = load->nr - load->got;
	uint32_t nr = left < max ? (uint32_t)left : max;

	if (key * max != load->got || get32(block + 4) != max || get32(block + 8) != nr ||
	    get32(block + 12) != load->value_size || !nr)
		return complain(load->image, "block %llu: array block", (unsigned long long)b);
	memcpy(load->values + load->got * load->value_size, block + 24, nr * load->value_size);
	load->got += nr;
}

/* To be freed. */
static uint8_t *load_array(struct naive_image *image, uint64_t root, uint64_t nr,
			   uint32_t value_size)
{
	struct load_array load = {image, allocate(nr, value_size), nr, 0, value_size};

	walk_tree((struct walk){image, 8, NULL, load_array_block, &load, 0, 0}, root);
	if (load.got != nr)
		complain(image, "array of root %llu: %llu values", (unsigned long long)root,
			 (unsigned long long)load.got);
	return load.values;
}

/* The model. */

struct naive_writeset *naive_add_writeset(struct naive *naive, uint32_t era, uint32_t nr_bits)
{
	size_t size = (naive->nr_writesets + 1) * sizeof(*naive->writesets);
	struct naive_writeset *writeset;

	naive->writesets = realloc(naive->writesets, size);
	if (!naive->writesets)
		abort();
	writeset = &naive->writesets[naive->nr_writesets++];
	*writeset = (struct naive_writeset){era, nr_bits, allocate(nr_bits / 8 + 1, 1)};
	return writeset;
}

void naive_make_eras(struct naive *naive)
{
	free(naive->eras);
	naive->eras = allocate(naive->nr_blocks, sizeof(*naive->eras));
}

void naive_free(struct naive *naive)
{
	for (uint32_t i = 0; i < naive->nr_writesets; i++)
		free(naive->writesets[i].bits);
	free(naive->writesets);
	free(naive->eras);
	*naive = (struct naive){.nr_blocks = 0};
}

bool naive_bit(const struct naive_writeset *writeset, uint32_t bit)
{
	return writeset->bits[bit / 8] >> (bit % 8) & 1;
}

void naive_set_bit(struct naive_writeset *writeset, uint32_t bit)
{
	writeset->bits[bit / 8] |= (uint8_t)(1 << (bit % 8));
}

struct load {
	struct naive_image *image;
	struct naive *naive;
	uint32_t last_over; /* the last era that is over */
};

static void load_bitset(struct load *load, uint32_t era, uint32_t nr_bits, uint64_t root)
{
	uint32_t nr_words = nr_bits / 64 + (nr_bits % 64 != 0);
	struct naive_writeset *writeset = naive_add_writeset(load->naive, era, nr_bits);

	free(writeset->bits);
	writeset->bits = load_array(load->image, root, nr_words, 8);
	for (uint32_t bit = nr_bits; bit < nr_words * 64; bit++)
		if (naive_bit(writeset, bit))
			complain(load->image, "writeset of era %u: bits past its end", era);
}

static void load_writeset(void *context, uint64_t key, const uint8_t *value)
{
	struct load *load = context;

	if (key > load->last_over)
		return complain(load->image, "a writeset of era %llu", (unsigned long long)key);
	load_bitset(load, (uint32_t)key, get32(value), get64(value + 4));
}

static void load_eras(struct load *load, uint64_t root)
{
	struct naive *naive = load->naive;
	uint8_t *values = load_array(load->image, root, naive->nr_blocks, 4);

	naive_make_eras(naive);
	for (uint32_t i = 0; i < naive->nr_blocks; i++) {
		naive->eras[i] = get32(values + 4 * (size_t)i);
		if (naive->eras[i] > load->last_over)
			complain(load->image, "data block %u: era %u", i, naive->eras[i]);
	}
	free(values);
}

uint64_t naive_snapshot(struct naive_image *image)
{
	return get64(block_at(image, 0, SUPERBLOCK) + 216);
}

bool naive_load(struct naive *naive, struct naive_image *image, bool snapshot)
{
	struct load load = {image, naive, 0};
	const uint8_t *super = block_at(image, snapshot ? naive_snapshot(image) : 0, SUPERBLOCK);

	*naive = (struct naive){.block_size = get32(super + 172),
				.nr_blocks = get32(super + 180),
				.current_era = get32(super + 184)};
	memcpy(naive->uuid, super + 16, 16);
	if (get64(super + 32) != 2126579579 || get32(super + 40) != 1 || get32(super + 176) != 8)
		complain(image, "superblock: its constants");
	if (image->problem[0])
		return false;
	/* A snapshot began its current era; and a writeset that is not archived goes on. */
	load.last_over = naive->current_era;
	if (load.last_over && (snapshot || get64(super + 192)))
		load.last_over--;
	walk_tree((struct walk){image, 12, NULL, load_writeset, &load, 0, 0}, get64(super + 200));
	if (!snapshot && get64(super + 192))
		load_bitset(&load, naive->current_era, get32(super + 188), get64(super + 192));
	load_eras(&load, get64(super + 208));
	return !image->problem[0];
}

bool naive_same(const struct naive *a, const struct naive *b, char text[160])
{
	text[0] = 0;
	if (strcmp(a->uuid, b->uuid) || a->block_size != b->block_size ||
	    a->nr_blocks != b->nr_blocks || a->current_era != b->current_era ||
	    a->nr_writesets != b->nr_writesets) {
		snprintf(text, 160, "uuid '%s' '%s', numbers %u %u %u %u, %u %u %u %u", a->uuid,
			 b->uuid, a->block_size, a->nr_blocks, a->current_era, a->nr_writesets,
			 b->block_size, b->nr_blocks, b->current_era, b->nr_writesets);
		return false;
	}
	for (uint32_t i = 0; i < a->nr_writesets; i++) {
		const struct naive_writeset *v = &a->writesets[i], *w = &b->writesets[i];
		size_t size = v->nr_bits / 8 + (v->nr_bits % 8 != 0);

		if (v->era != w->era || v->nr_bits != w->nr_bits || memcmp(v->bits, w->bits, size))
			snprintf(text, 160, "writesets of eras %u, %u", v->era, w->era);
	}
	for (uint32_t i = 0; !text[0] && i < a->nr_blocks; i++)
		if (a->eras[i] != b->eras[i])
			snprintf(text, 160, "data block %u: eras %u, %u", i, a->eras[i],
				 b->eras[i]);
	return !text[0];
}

/* Reference counts. */

struct counting {
	struct naive_image *image;
	uint32_t *counts, *stored;
	uint64_t nr; /* of counts, in both */
};

/* Whether it was the first reference: what is below is counted once only. */
static bool count(void *context, uint64_t b)
{
	struct counting *counting = context;

	if (b < counting->nr)
		return counting->counts[b]++ == 0;
	complain(counting->image, "block %llu: past the space map", (unsigned long long)b);
	return false;
}

static void count_array_block(void *context, uint64_t key, const uint8_t *value)
{
	(void)key;
	count(context, get64(value));
}

static void count_array(struct counting *counting, uint64_t root)
{
	walk_tree((struct walk){counting->image, 8, count, count_array_block, counting, 0, 0},
		  root);
}

static void count_writeset(void *context, uint64_t key, const uint8_t *value)
{
	(void)key;
	count_array(context, get64(value + 4));
}

static void count_trees(struct counting *counting, const uint8_t *super)
{
	walk_tree((struct walk){counting->image, 12, count, count_writeset, counting, 0, 0},
		  get64(super + 200));
	count_array(counting, get64(super + 208));
}

static void count_all(struct counting *counting, const uint8_t *super)
{
	uint64_t snapshot = get64(super + 216);

	count(counting, 0);
	count_trees(counting, super);
	if (get64(super + 192))
		count_array(counting, get64(super + 192));
	if (snapshot) {
		count(counting, snapshot);
		count_trees(counting, block_at(counting->image, snapshot, SUPERBLOCK));
	}
}

static void store_large_count(void *context, uint64_t key, const uint8_t *value)
{
	struct counting *counting = context;

	if (key >= counting->nr || counting->stored[key] != 3 || get32(value) < 3)
		return complain(counting->image, "reference count of block %llu in the tree",
				(unsigned long long)key);
	counting->stored[key] = get32(value);
}

/* The counts in one bitmap, whose first one is of block `first`. */
static void store_bitmap(struct counting *counting, uint64_t first, uint64_t bitmap)
{
	const uint8_t *block = block_at(counting->image, bitmap, BITMAP);

	for (unsigned i = 0; i < COUNTS_PER_BITMAP; i++) {
		unsigned pair = block[16 + i / 4] >> (i % 4 * 2) & 3;

		if (first + i < counting->nr)
			counting->stored[first + i] = pair >> 1 | (pair & 1) << 1;
		else if (pair)
			complain(counting->image, "bitmap block %llu: past the end",
				 (unsigned long long)bitmap);
	}
}

/* What the space map says, and the references to what it consists of. */
static void count_space_map(struct counting *counting, const uint8_t *super)
{
	uint64_t index_root = get64(super + 60), tree = get64(super + 68);
	const uint8_t *index = block_at(counting->image, index_root, INDEX_BLOCK);
	struct walk large = {counting->image, 4, count, store_large_count, counting, 0, 0};

	count(counting, index_root);
	for (uint64_t i = 0; i * COUNTS_PER_BITMAP < counting->nr; i++) {
		uint64_t bitmap = get64(index + 16 + i * 16);

		count(counting, bitmap);
		store_bitmap(counting, i * COUNTS_PER_BITMAP, bitmap);
	}
	walk_tree(large, tree);
}

static void compare_counts(const struct counting *counting, uint64_t nr_allocated)
{
	uint64_t used = 0;

	for (uint64_t b = 0; b < counting->nr; b++) {
		if (counting->counts[b] != counting->stored[b])
			complain(counting->image, "block %llu: %u references, counted as %u",
				 (unsigned long long)b, counting->counts[b], counting->stored[b]);
		used += counting->counts[b] != 0;
	}
	if (used != nr_allocated)
		complain(counting->image, "%llu blocks used, counted as %llu",
			 (unsigned long long)used, (unsigned long long)nr_allocated);
}

bool naive_check_counts(struct naive_image *image)
{
	const uint8_t *super = block_at(image, 0, SUPERBLOCK);
	struct counting counting = {.image = image, .nr = get64(super + 44)};

	if (counting.nr > image->nr_blocks || counting.nr > 255 * COUNTS_PER_BITMAP)
		complain(image, "space map: %llu blocks", (unsigned long long)counting.nr);
	if (image->problem[0])
		return false;
	counting.counts = allocate(counting.nr, sizeof(uint32_t));
	counting.stored = allocate(counting.nr, sizeof(uint32_t));
	count_all(&counting, super);
	count_space_map(&counting, super);
	compare_counts(&counting, get64(super + 52));
	free(counting.counts);
	free(counting.stored);
	return !image->problem[0];
}

/* What the commands should print. */

uint32_t *naive_block_eras(const struct naive *naive)
{
	uint32_t *eras = allocate(naive->nr_blocks, sizeof(*eras));

	memcpy(eras, naive->eras ? naive->eras : eras, naive->nr_blocks * sizeof(*eras));
	for (uint32_t w = 0; w < naive->nr_writesets; w++) {
		const struct naive_writeset *writeset = &naive->writesets[w];

		for (uint32_t i = 0; i < writeset->nr_bits && i < naive->nr_blocks; i++) {
			if (i % 8 == 0 && !writeset->bits[i / 8])
				i += 7;
			else if (naive_bit(writeset, i) && eras[i] < writeset->era)
				eras[i] = writeset->era;
		}
	}
	return eras;
}

uint64_t naive_nr_lines(const struct naive *naive, enum naive_shape shape)
{
	uint64_t nr = naive->nr_blocks;

	for (uint32_t w = 0; shape == NAIVE_FULL && w < naive->nr_writesets; w++)
		nr += naive->writesets[w].nr_bits;
	return nr;
}

static FILE *open_text(char **text, size_t *size)
{
	FILE *file = open_memstream(text, size);

	if (!file)
		abort();
	return file;
}

static void dump_uuid(FILE *file, const char *uuid)
{
	for (; *uuid; uuid++) {
		if (strchr("&<>\"", *uuid))
			fputs(*uuid == '&'   ? "&amp;"
			      : *uuid == '<' ? "&lt;"
			      : *uuid == '>' ? "&gt;"
					     : "&quot;",
			      file);
		else
			fputc(*uuid, file);
	}
}

static void dump_bits(FILE *file, const struct naive_writeset *writeset)
{
	for (uint32_t i = 0; i < writeset->nr_bits; i++)
		fprintf(file, "    <bit block=\"%u\" value=\"%s\"/>\n", i,
			naive_bit(writeset, i) ? "true" : "false");
}

static void dump_runs(FILE *file, const struct naive_writeset *writeset)
{
	for (uint32_t i = 0; i < writeset->nr_bits; i++) {
		uint32_t begin = i;

		while (i < writeset->nr_bits && naive_bit(writeset, i))
			i++;
		if (i > begin)
			fprintf(file, "    <marked block_begin=\"%u\" len=\"%u\"/>\n", begin,
				i - begin);
	}
}

static void dump_writesets(FILE *file, const struct naive *naive, enum naive_shape shape)
{
	for (uint32_t w = 0; w < naive->nr_writesets; w++) {
		fprintf(file, "  <writeset era=\"%u\" nr_bits=\"%u\">\n", naive->writesets[w].era,
			naive->writesets[w].nr_bits);
		if (shape == NAIVE_FULL)
			dump_bits(file, &naive->writesets[w]);
		else
			dump_runs(file, &naive->writesets[w]);
		fputs("  </writeset>\n", file);
	}
}

static void dump_eras(FILE *file, const uint32_t *eras, uint32_t nr_blocks)
{
	fputs("  <era_array>\n", file);
	for (uint32_t i = 0; i < nr_blocks; i++)
		fprintf(file, "    <era block=\"%u\" era=\"%u\"/>\n", i, eras[i]);
	fputs("  </era_array>\n", file);
}

char *naive_dump(const struct naive *naive, enum naive_shape shape, size_t *size)
{
	char *text;
	FILE *file = open_text(&text, size);

	fputs("<superblock uuid=\"", file);
	dump_uuid(file, naive->uuid);
	fprintf(file, "\" block_size=\"%u\" nr_blocks=\"%u\" current_era=\"%u\">\n",
		naive->block_size, naive->nr_blocks, naive->current_era);
	if (shape == NAIVE_LOGICAL) {
		uint32_t *eras = naive_block_eras(naive);

		dump_eras(file, eras, naive->nr_blocks);
		free(eras);
	} else {
		dump_writesets(file, naive, shape);
		dump_eras(file, naive->eras, naive->nr_blocks);
	}
	fputs("</superblock>\n", file);
	fclose(file);
	return text;
}

char *naive_changed(const uint32_t *eras, uint32_t nr_blocks, uint32_t since, size_t *size)
{
	char *text;
	FILE *file = open_text(&text, size);

	fputs("<blocks>\n", file);
	for (uint32_t i = 0; i < nr_blocks; i++) {
		uint32_t begin = i;

		while (i < nr_blocks && eras[i] >= since)
			i++;
		if (i == begin + 1)
			fprintf(file, "  <block block=\"%u\"/>\n", begin);
		else if (i > begin)
			fprintf(file, "  <range begin=\"%u\" end=\"%u\"/>\n", begin, i);
	}
	fputs("</blocks>\n", file);
	fclose(file);
	return text;
}
