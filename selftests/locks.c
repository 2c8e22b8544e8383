// SPDX-License-Identifier: GPL-2.0
/*
 * locks chained|left: a hot loop with locked accesses, every tenth across a cache line, on
 * both sides; the sums are to be right. With "chained" the loop is to chain, with "left" it is
 * not to, as each gap has a locked access, which leaves where split locks are exceptions.
 * For tests that are scripts.
 */
#include "ub_test.h"

struct result {
	int hot;
	uint64_t sum, split;
};

static struct result *now;
static __attribute__((aligned(64))) char memory[128];

static void loop(void *argument)
{
	for (int i = 0; i < 300; i++) {
		uint64_t *word = (uint64_t *)(memory + (i % 10 ? 64 : 60));

		syscall(SYS_getppid);
		asm volatile("lock addq $3, %0\n lock xaddq %1, %0" : "+m"(*word) : "r"(5ul) : "cc");
	}
}

static void side(void *argument)
{
	const int *left = argument;

	for (int i = 0; *left && i < 30; i++)
		loop(NULL);
	now->hot = *left || heat(loop, NULL);
	memset(memory, 0, sizeof(memory));
	loop(NULL);
	memcpy(&now->sum, memory + 64, sizeof(now->sum));
	memcpy(&now->split, memory + 60, sizeof(now->split));
}

int main(int argc, char **argv)
{
	int left = argc > 1 && !strcmp(argv[1], "left"), good = 1;
	struct result *results = shared(2 * sizeof(*results));
	long chained, calls;

	sides_begin();
	chained = side_stat(HOT, "chained");
	calls = side_stat(HOT, "syscalls");
	for_each_side(s) {
		now = &results[s];
		good &= child_ok(side_run(s, side, &left)) && now->hot;
	}
	chained = side_stat(HOT, "chained") - chained;
	calls = side_stat(HOT, "syscalls") - calls;
	good &= results[NATIVE].sum == results[HOT].sum && results[NATIVE].split == results[HOT].split;
	note("%ld of %ld chained, sums %#lx and %#lx", chained, calls, results[HOT].sum, results[HOT].split);
	sides_end();
	return !(good && (!left || chained * 10 < calls));
}
