// SPDX-License-Identifier: GPL-2.0
/*
 * leak: no kernel pointer ever shows in a program's registers or memory after a
 * chain. A handler looks at the interrupted registers and the stack below and
 * above them, a rig at the registers after each call, and at the end all
 * writable memory is searched; the native side says how many such words there
 * are anyway.
 */
#include <sys/time.h>

#include "ub_regs.h"

UB_RIG(nothing, "");
UB_RIG(inner_loop, "mov $500, %ebx\n 1: sub $1, %ebx\n jnz 1b");
UB_RIG(refused, "cpuid");	/* an exit in the middle of a gap */

struct result {
	int hot;
	long signals, in_registers, memory_words, rounds;
};

static struct result *now;

/* The kernel half but the last page, where negative errors are, with 4 and 5 level paging. */
static int kernel_like(uint64_t value)
{
	return value >= 0xff00000000000000 && value < 0xfffffffffffff000 &&
	       value != 0xffffffffff600000 && (value >> 32) != 0xffffffff;
}

/* Kernel text and modules; apart, because 32-bit negative numbers look the same. */
static int text_like(uint64_t value)
{
	return value >= 0xffffffff80000000 && value < 0xffffffffff000000;
}

static void handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	const uint64_t *stack = (const uint64_t *)uc->uc_mcontext.gregs[REG_RSP];

	now->signals++;
	for (int i = 0; i <= REG_RIP; i++) {
		uint64_t value = uc->uc_mcontext.gregs[i];

		now->in_registers += kernel_like(value) || text_like(value);
	}
	for (int i = 0; i < 64; i++)
		now->in_registers += kernel_like(stack[i]) || text_like(stack[i]);
}

static void loop(void *argument)
{
	for (int i = 0; i < 300; i++) {
		if (i % 3 == 1)
			inner_loop();
		else
			nothing();
		for (int r = 0; r < REGISTERS; r++)
			now->in_registers += kernel_like(rig_out[r]) || text_like(rig_out[r]);
		now->in_registers += kernel_like(rig_rax) || kernel_like(rig_rcx) || kernel_like(rig_r11);
		now->rounds++;
	}
}

/* All private writable mappings; counts, does not keep. */
static long search_memory(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long start, end, words = 0;
	char line[512], rights[8];

	if (!maps)
		return -1;
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %7s", &start, &end, rights) != 3 || rights[0] != 'r' ||
		    rights[1] != 'w' || rights[3] != 'p' || end - start > 1ul << 30)
			continue;
		for (const uint64_t *p = (const uint64_t *)start; p < (const uint64_t *)end; p++)
			words += kernel_like(*p);
	}
	fclose(maps);
	return words;
}

static void side(void *argument)
{
	struct itimerval t = { { 0, 2000 }, { 0, 2000 } };
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	uint64_t until;

	rig_patterns();
	sigaction(SIGALRM, &action, NULL);
	now->hot = heat(loop, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
	until = now_ns() + duration_ms(2000) * 1000000ul;
	while (now_ns() < until) {
		loop(NULL);
		refused();
	}
	memset(&t, 0, sizeof(t));
	setitimer(ITIMER_REAL, &t, NULL);
	now->memory_words = search_memory();
}

int main(void)
{
	struct result *results = shared(2 * sizeof(*results));

	test_begin();
	sides_begin();
	for_each_side(s) {
		int status;

		now = &results[s];
		status = side_run(s, side, NULL);
		ok(child_ok(status) && now->hot && now->signals,
		   "%s: ran %ld rounds, %ld signals%s", side_name(s), now->rounds, now->signals,
		   now->hot ? "" : ", not hot");
		ok(!now->in_registers, "%s: no kernel pointer in registers or near the stack pointer (%ld)",
		   side_name(s), now->in_registers);
	}
	ok(results[HOT].memory_words <= results[NATIVE].memory_words,
	   "no more kernel-like words in memory than natively (%ld, native %ld)",
	   results[HOT].memory_words, results[NATIVE].memory_words);
	sides_end();
	return test_end();
}
