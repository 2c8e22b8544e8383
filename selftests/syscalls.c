// SPDX-License-Identifier: GPL-2.0
/*
 * syscalls: a chained system call is a system call. Results, errors and rcx/r11
 * as the instruction leaves them; numbers that do not exist, x32 numbers and odd
 * upper halves of rax; the calls that are never chained, made from inside a hot
 * loop; restarted calls.
 */
#include <asm/prctl.h>
#include <poll.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/utsname.h>

#include "ub_test.h"

#define VALUES 64

struct result {
	int hot;
	long rounds, wrong;
	long value[VALUES];
};

static struct result *now;

struct raw {
	long rax, rcx, r11, rip;
};

static inline struct raw raw(unsigned long number, long a, long b, long c, long d)
{
	struct raw r;
	register long r10 asm("r10") = d;
	register long r11 asm("r11");

	asm volatile("syscall\n1: lea 1b(%%rip), %3"
		     : "=a"(r.rax), "=c"(r.rcx), "=r"(r11), "=r"(r.rip)
		     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "memory");
	r.r11 = r11;
	return r;
}

static void warm(void *argument)
{
	for (int i = 0; i < 500; i++)
		now->wrong += raw(SYS_getppid, 0, 0, 0, 0).rax <= 0;
}

/* Numbers and results */

static const struct call {
	unsigned long number;
	long a, b, c;
} calls[] = {
	{ SYS_getppid, 0, 0, 0 },
	{ SYS_close, -1, 0, 0 },
	{ SYS_lseek, -1, 0, 0 },
	{ SYS_read, -1, 0, 0 },
	{ SYS_write, 1, 8, 1 },			/* a bad pointer: EFAULT or EBADF */
	{ SYS_uname, 0, 0, 0 },
	{ SYS_uname, 0xffffffff81000000L, 0, 0 },
	{ SYS_dup2, 0, -1, 0 },
	{ SYS_kill, 0x7ffffff0, 0, 0 },
	{ SYS_sched_yield, 0, 0, 0 },
	{ SYS_getsid, -1, 0, 0 },
	{ 340, 0, 0, 0 },			/* never assigned */
	{ 423, 0, 0, 0 },
	{ 600, 0, 0, 0 },
	{ 100000, 0, 0, 0 },
	{ 0x7fffffff, 0, 0, 0 },
	{ 0x80000000, 0, 0, 0 },
	{ 0xffffffff, 0, 0, 0 },
	{ ~0ul, 0, 0, 0 },
	{ 1ul << 32 | SYS_getppid, 0, 0, 0 },	/* the upper half of rax */
	{ 0xdeadbeef00000000 | SYS_getuid, 0, 0, 0 },
	{ 0x40000000 | SYS_getppid, 0, 0, 0 },	/* x32 */
	{ 0x40000000 | 512, 0, 0, 0 },
	{ 0x40000000 | 2000, 0, 0, 0 },
	{ SYS_execve, 0, 0, 0 },		/* these are not chained */
	{ SYS_arch_prctl, 0x9999, 0, 0 },
	{ SYS_prctl, 0x99999, 0, 0 },
	{ SYS_personality, 0xffffffff, 0, 0 },
	{ SYS_seccomp, 99, 0, 0 },
	{ SYS_ptrace, 99, 0, 0 },
	{ SYS_iopl, 7, 0, 0 },
	{ SYS_ioperm, 0x100000, 1, 1 },
	{ SYS_modify_ldt, 99, 0, 0 },
	{ SYS_clone, 0x00000800, 0, 0 },	/* CLONE_SIGHAND without VM: EINVAL */
	{ SYS_unshare, 1, 0, 0 },
	{ SYS_set_robust_list, 0, 1, 0 },
	{ SYS_rseq, 0, 0, 0 },
	{ SYS_restart_syscall, 0, 0, 0 },
};
_Static_assert(ARRAY_SIZE(calls) <= VALUES, "a value for each call");

static void mixed(void *argument)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		const struct call *call = &calls[i];
		struct raw r;

		warm(NULL);
		r = raw(call->number, call->a, call->b, call->c, 0);
		now->rounds++;
		now->wrong += r.rcx != r.rip;
		now->wrong += (r.r11 & ~0xcd5l) != 0x202;
		if (call->number == SYS_getppid || (unsigned int)call->number == SYS_getppid)
			r.rax -= getppid();
		now->value[i] = r.rax;
	}
}

static void numbers_side(void *argument)
{
	now->hot = heat(warm, NULL);
	for (int i = 0; i < 5; i++)
		mixed(NULL);
}

/* Calls that make, replace and end tasks */

static void *thread_main(void *argument)
{
	warm(NULL);
	return (char *)argument + 1;
}

static void never_chained(void *argument)
{
	for (int i = 0; i < 20; i++) {
		unsigned long base = 0;
		pthread_t thread;
		void *got = NULL;
		int status;
		pid_t pid;

		now->rounds++;
		warm(NULL);
		pid = raw(SYS_fork, 0, 0, 0, 0).rax;
		if (!pid) {
			warm(NULL);
			raw(SYS_exit_group, 40 + i, 0, 0, 0);
		}
		now->wrong += waitpid(pid, &status, 0) != pid || status != (40 + i) << 8;

		warm(NULL);
		pid = vfork();
		if (!pid)
			raw(SYS_exit, 3, 0, 0, 0);
		now->wrong += waitpid(pid, &status, 0) != pid || status != 3 << 8;

		warm(NULL);
		pid = raw(SYS_clone, SIGCHLD, 0, 0, 0).rax;
		if (!pid) {
			warm(NULL);
			raw(SYS_exit, 4, 0, 0, 0);
		}
		now->wrong += waitpid(pid, &status, 0) != pid || status != 4 << 8;

		warm(NULL);
		pid = fork();
		if (!pid) {
			warm(NULL);
			execl("/bin/sh", "sh", "-c", "exit 5", NULL);
			_exit(6);
		}
		now->wrong += waitpid(pid, &status, 0) != pid || status != 5 << 8;

		warm(NULL);
		now->wrong += raw(SYS_arch_prctl, ARCH_GET_FS, (long)&base, 0, 0).rax != 0 || !base;
		now->wrong += raw(SYS_arch_prctl, ARCH_SET_FS, base, 0, 0).rax != 0;
		now->wrong += raw(SYS_arch_prctl, ARCH_SET_GS, 0x1234567000 + i, 0, 0).rax != 0;
		warm(NULL);
		now->wrong += raw(SYS_arch_prctl, ARCH_GET_GS, (long)&base, 0, 0).rax != 0 ||
			      base != 0x1234567000ul + i;

		warm(NULL);
		now->wrong += pthread_create(&thread, NULL, thread_main, (char *)0 + i) != 0 ||
			      pthread_join(thread, &got) || got != (char *)0 + i + 1;
	}
}

static void never_chained_side(void *argument)
{
	now->hot = heat(warm, NULL);
	never_chained(NULL);
}

/* Restarts: stopped and continued in the middle, a call takes all its time and gives its result. */

static void stop_soon(void)
{
	pid_t parent = getpid(), pid = fork();

	if (!pid) {
		for (int i = 0; i < 3; i++) {
			sleep_ms(60);
			kill(parent, SIGSTOP);
			sleep_ms(20);
			kill(parent, SIGCONT);
		}
		_exit(0);
	}
}

static void restart_side(void *argument)
{
	struct timespec t = { 0, 400000000 };
	struct pollfd none = { -1, POLLIN, 0 };
	unsigned int word = 0;
	long result;
	uint64_t at;

	now->hot = heat(warm, NULL);
	for (int i = 0; i < 4; i++) {
		stop_soon();
		warm(NULL);
		at = now_ns();
		switch (i) {
		case 0: result = raw(SYS_nanosleep, (long)&t, 0, 0, 0).rax; break;
		case 1: result = raw(SYS_poll, (long)&none, 1, 400, 0).rax; break;
		case 2: result = raw(SYS_futex, (long)&word, FUTEX_WAIT, 0, (long)&t).rax; break;
		default: result = raw(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&t, 0).rax;
		}
		at = now_ns() - at;
		now->value[i] = result;
		if (at < 400000000 || at > 3000000000) {
			now->value[i] = -1000;
			now->wrong++;
		}
		now->rounds++;
		while (wait(NULL) > 0)
			;
	}
}

int main(void)
{
	static const struct {
		const char *name;
		void (*side)(void *argument);
	} tests[] = {
		{ "numbers, results, rcx and r11", numbers_side },
		{ "calls that are never chained", never_chained_side },
		{ "restarted calls", restart_side },
	};
	struct result *results = shared(2 * sizeof(*results));

	test_begin();
	sides_begin();
	for (unsigned int i = 0; i < ARRAY_SIZE(tests); i++) {
		memset(results, 0, 2 * sizeof(*results));
		for_each_side(side) {
			int status;

			now = &results[side];
			status = side_run(side, tests[i].side, NULL);
			ok(child_ok(status) && now->hot && now->rounds && !now->wrong,
			   "%s: %s (%ld rounds, %ld wrong, status %#x%s)", side_name(side), tests[i].name,
			   now->rounds, now->wrong, status, now->hot ? "" : ", not hot");
		}
		for (int v = 0; v < VALUES; v++)
			if (results[NATIVE].value[v] != results[HOT].value[v])
				note("value %d: native %ld, hot %ld", v, results[NATIVE].value[v],
				     results[HOT].value[v]);
		ok(!memcmp(results[NATIVE].value, results[HOT].value, sizeof(now->value)),
		   "%s: both sides saw the same", tests[i].name);
	}
	sides_end();
	return test_end();
}
