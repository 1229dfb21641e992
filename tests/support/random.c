/* SPDX-License-Identifier: MIT */
/* Random numbers: splitmix64. */
#include "tests/support/random.h"

#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

uint64_t random_any(struct random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t random_below(struct random *random, uint64_t end)
{
	return random_any(random) % end;
}

uint64_t random_setting(const char *variable, uint64_t otherwise)
{
	const char *text = getenv(variable);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

uint64_t random_seed(void)
{
	uint64_t seed = random_setting("ERA_SEED", 0);

	if (!seed && getrandom(&seed, 4, 0) != 4)
		seed = (uint64_t)getpid();
	return seed;
}
