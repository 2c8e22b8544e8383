// SPDX-License-Identifier: GPL-2.0
/*
 * leak: no kernel pointer ever shows in a program's registers or memory after a
 * chain. A handler looks at the interrupted registers and the stack below and
 * above them, a rig at the registers after each call, and at the end all
 * writable memory is searched. Words that only look like kernel pointers are
 * learned from the program before it runs anything and from the native side.
 */
#include <sys/time.h>

#include "ub_regs.h"

UB_RIG(nothing, "");
UB_RIG(inner_loop, "mov $500, %ebx\n 1: sub $1, %ebx\n jnz 1b");
UB_RIG(refused, "cpuid");	/* an exit in the middle of a gap */

struct result {
	int hot;
	long signals, in_registers, memory_words, rounds;
	uint64_t first;		/* of those counted */
};

static struct result *now;

/*
 * Shared by all sides. The C library's random words are the same in all of them,
 * forks that they are: the stack's canary, which lies about in many places, the key of
 * freed memory, mangled pointers. With 5-level paging one in 256 looks like a pointer.
 */
struct known {
	unsigned long words;
	uint64_t word[64];
};

static struct known *known;

/* Every byte 0 or -1: what vector comparisons of the C library's string functions leave. */
static int mask_like(uint64_t value)
{
	return value == (value & 0x0101010101010101) * 0xff;
}

/* The kernel half but the last page, where negative errors are, with 4 and 5 level paging. */
static int kernel_like(uint64_t value)
{
	return value >= 0xff00000000000000 && value < 0xfffffffffffff000 &&
	       value != 0xffffffffff600000 && (value >> 32) != 0xffffffff && !mask_like(value);
}

/* Kernel text and modules; apart, because 32-bit negative numbers look the same. */
static int text_like(uint64_t value)
{
	return value >= 0xffffffff80000000 && value < 0xffffffffff000000;
}

static int is_known(uint64_t value)
{
	for (unsigned long i = 0; i < known->words; i++)
		if (known->word[i] == value)
			return 1;
	return 0;
}

static void count(long *counter, uint64_t value)
{
	if (is_known(value))
		return;
	if (!now->first)
		now->first = value;
	++*counter;
}

static void look_at(uint64_t value)
{
	if (kernel_like(value) || text_like(value))
		count(&now->in_registers, value);
}

static void handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	const uint64_t *stack = (const uint64_t *)uc->uc_mcontext.gregs[REG_RSP];

	now->signals++;
	for (int i = 0; i <= REG_RIP; i++)
		look_at(uc->uc_mcontext.gregs[i]);
	for (int i = 0; i < 64; i++)
		look_at(stack[i]);
}

static void loop(void *argument)
{
	for (int i = 0; i < 300; i++) {
		if (i % 3 == 1)
			inner_loop();
		else
			nothing();
		for (int r = 0; r < REGISTERS; r++)
			look_at(rig_out[r]);
		look_at(rig_rax);
		look_at(rig_rcx);
		look_at(rig_r11);
		now->rounds++;
	}
}

/* Searches all private writable mappings: counts what is not known, or learns it. */
static void search_memory(int learn)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	char line[512], rights[8];

	if (!maps)
		broken("/proc/self/maps");
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %7s", &start, &end, rights) != 3 || rights[0] != 'r' ||
		    rights[1] != 'w' || rights[3] != 'p' || end - start > 1ul << 30)
			continue;
		for (const uint64_t *p = (const uint64_t *)start; p < (const uint64_t *)end; p++) {
			if (!kernel_like(*p))
				continue;
			if (!learn)
				count(&now->memory_words, *p);
			else if (!is_known(*p) && known->words < ARRAY_SIZE(known->word))
				known->word[known->words++] = *p;
		}
	}
	fclose(maps);
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
	search_memory(this_side == NATIVE);
}

int main(void)
{
	struct result *results = shared(2 * sizeof(*results));

	known = shared(sizeof(*known));
	test_begin();
	search_memory(1);
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
	ok(!results[HOT].memory_words, "no kernel-like words in memory but the native ones (%ld, native %lu)",
	   results[HOT].memory_words, known->words);
	for_each_side(s)
		if (results[s].first)
			note("%s: the first one: %#lx", side_name(s), results[s].first);
	sides_end();
	return test_end();
}
