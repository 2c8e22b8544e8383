// SPDX-License-Identifier: GPL-2.0
/*
 * endless: a program that never makes another system call after a chained one
 * stays an ordinary program: it can be killed within a second, stopped, sent
 * signals, and shares its CPU with others; the kernel sees no lockup and no RCU
 * stall (who runs this test looks into the log).
 */
#include "ub_test.h"

struct shared_state {
	volatile uint64_t limit, count, rounds, other, signals;
};

static struct shared_state *state;

/* Loops whose length is in memory: short while they heat, then without end. */
static __attribute__((noinline)) void counting(void)
{
	for (uint64_t i = 0; i < state->limit; i++)
		state->count++;
}

/* Waits for a word: the flags of the compare are dead at the loop's head. */
void waiting(volatile uint64_t *limit);
asm(".pushsection .text\n.globl waiting\nwaiting:\n"
    "1: cmpq $100, (%rdi)\n ja 1b\n ret\n.popsection");

/* CF lives around the loop. */
void carrying(volatile uint64_t *limit);
asm(".pushsection .text\n.globl carrying\ncarrying:\n"
    "mov (%rdi), %rcx\n xor %eax, %eax\n stc\n"
    "1: adc $1, %rax\n dec %rcx\n jnz 1b\n ret\n.popsection");

/* Two nested loops and a call. */
static __attribute__((noinline)) void bump(void)
{
	state->count++;
}

static __attribute__((noinline)) void calling(void)
{
	for (uint64_t i = 0; i < state->limit; i += 4)
		for (int j = 0; j < 4; j++)
			bump();
}

static int kind;

static void loop(void *argument)
{
	for (int i = 0; i < 200; i++) {
		syscall(SYS_getppid);
		state->rounds++;
		switch (kind) {
		case 0: counting(); break;
		case 1: waiting(&state->limit); break;
		case 2: carrying(&state->limit); break;
		case 3: calling(); break;
		}
	}
}

static const char *const kinds[] = { "a counting loop", "a waiting loop", "a loop with live flags",
				     "a loop of calls" };

static void handler(int signal)
{
	state->signals++;
}

static void side(void *argument)
{
	pin_to_cpu(0);
	signal(SIGALRM, handler);
	if (!heat(loop, NULL))
		_exit(1);
	loop(NULL);
	state->other = 0;
	state->limit = 1ul << 60;
	for (;;)
		loop(NULL);
}

static void other(void *argument)
{
	pin_to_cpu(0);
	for (;;)
		state->other++;
}

static pid_t start(enum side which)
{
	pid_t pid;

	memset(state, 0, sizeof(*state));
	state->limit = 20;
	pid = side_start(which, side, NULL);
	for (int i = 0; i < 25000 && state->limit == 20; i++)
		sleep_ms(1);
	sleep_ms(50);
	return pid;
}

static uint64_t cpu_ms(pid_t pid)
{
	char path[64], text[128];

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	return file_read(path, text, sizeof(text)) ? 0 : strtoul(text, NULL, 10) / 1000000;
}

static void kills(enum side which, int signal)
{
	pid_t pid = start(which);
	int heated = state->limit > 20, status;
	uint64_t rounds = state->rounds, at;

	sleep_ms(100);
	ok(heated && rounds == state->rounds, "%s: %s is in its endless loop", side_name(which), kinds[kind]);
	at = now_ns();
	kill(pid, signal);
	status = child_wait(pid, 20000);
	at = (now_ns() - at) / 1000000;
	ok(status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == signal && at < 1000,
	   "%s: %s dies of signal %d (%lu ms)", side_name(which), kinds[kind], signal, at);
}

static void shares(enum side which)
{
	pid_t pid = start(which), neighbour = side_start(NATIVE, other, NULL);
	uint64_t own, others, signals;

	sleep_ms(200);
	own = cpu_ms(pid);
	others = cpu_ms(neighbour);
	sleep_ms(1500);
	own = cpu_ms(pid) - own;
	others = cpu_ms(neighbour) - others;
	ok(others * 100 >= (own + others) * 30 && own * 100 >= (own + others) * 30,
	   "%s: %s and a neighbour share a CPU (%lu and %lu ms)", side_name(which), kinds[kind], own, others);
	kill(neighbour, SIGKILL);
	waitpid(neighbour, NULL, 0);

	signals = 0;
	for (int i = 0; i < 20; i++) {
		uint64_t before = state->signals;

		kill(pid, SIGALRM);
		for (int wait = 0; wait < 1000 && state->signals == before; wait++)
			sleep_ms(1);
		signals += state->signals == before + 1;
	}
	ok(signals == 20, "%s: %s takes 20 signals (%lu)", side_name(which), kinds[kind], signals);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Long enough for the watchdogs that the caller has tuned down. */
static void alone(enum side which)
{
	pid_t pid[2];

	for (int cpu = 0; cpu < 2; cpu++)
		pid[cpu] = start(which);
	sleep_ms(duration_ms(10000));
	for (int cpu = 0; cpu < 2; cpu++) {
		kill(pid[cpu], SIGKILL);
		waitpid(pid[cpu], NULL, 0);
	}
	ok(1, "%s: %s ran for long", side_name(which), kinds[kind]);
}

int main(void)
{
	state = shared(sizeof(*state));
	test_begin();
	sides_begin();
	for (kind = 0; kind < (int)ARRAY_SIZE(kinds); kind++)
		for_each_side(which) {
			kills(which, SIGKILL);
			kills(which, SIGTERM);
			shares(which);
		}
	kind = 0;
	alone(HOT);
	sides_end();
	return test_end();
}
