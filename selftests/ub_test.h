/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ub_test.h - what every selftest shares: TAP output, and the two sides.
 *
 * Most tests compare: the same function runs in two children, one in a cgroup
 * with ub.enable = 0 (native) and one with ub.enable = 1 (hot), writes what it
 * saw into a result, and the parent compares. A hot side first calls heat(),
 * which repeats a loop until its syscalls really are chained, so that a pass is
 * about chained code and not about code that never became hot.
 *
 * Without the module the programs still run: both sides are native then, what
 * they observe is checked all the same, and points that are about ub are skipped.
 *
 * A test is a main() that calls test_begin(), ok()… and returns test_end().
 */
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ub_cgroup.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* TAP */

static int tap_points, tap_failures;

static inline void test_begin(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n");
}

__attribute__((format(printf, 1, 2))) static inline void note(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	printf("# ");
	vprintf(format, list);
	printf("\n");
	va_end(list);
}

__attribute__((format(printf, 2, 3))) static inline int ok(int passed, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	printf("%s %d ", passed ? "ok" : "not ok", ++tap_points);
	vprintf(format, list);
	printf("\n");
	va_end(list);
	if (!passed)
		tap_failures++;
	return passed;
}

__attribute__((format(printf, 2, 3))) static inline void skip(const char *reason, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	printf("ok %d ", ++tap_points);
	vprintf(format, list);
	printf(" # SKIP %s\n", reason);
	va_end(list);
}

/* Return: kselftest's exit code, 0 passed and 1 failed. */
static inline int test_end(void)
{
	printf("1..%d\n", tap_points);
	return tap_failures ? 1 : 0;
}

/* Gives up on a broken test environment: not a failure of ub, but not a pass. */
__attribute__((noreturn)) static inline void broken(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Time */

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

static inline void sleep_ms(unsigned int ms)
{
	struct timespec t = { ms / 1000, (ms % 1000) * 1000000L };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* UB_QUICK in the environment shortens what runs for a while. */
static inline unsigned int duration_ms(unsigned int ms)
{
	return getenv("UB_QUICK") ? ms / 4 : ms;
}

/* UB_SLOWER in the environment says how much more time everything may take. */
static inline uint64_t limit_ns(uint64_t ms)
{
	const char *slower = getenv("UB_SLOWER");

	return ms * 1000000u * (slower ? strtoul(slower, NULL, 10) : 1);
}

static inline void pin_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Memory that parent and children share; zeroed. */
static inline void *shared(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		broken("mmap of shared memory");
	return p;
}

/* The two sides */

enum side { NATIVE, HOT };

static struct cgroup side_cgroup[2];
static enum side this_side;		/* in a child that side_start() made */

/* Makes the two cgroups of this test program. */
static inline void sides_begin(void)
{
	cgroup_make(&side_cgroup[NATIVE], NULL, "native");
	cgroup_make(&side_cgroup[HOT], NULL, "hot");
	if (ub_present() && (cgroup_write(&side_cgroup[NATIVE], "ub.enable", "0") ||
			     cgroup_write(&side_cgroup[HOT], "ub.enable", "1")))
		broken("writing ub.enable");
}

static inline void sides_end(void)
{
	cgroup_remove(&side_cgroup[NATIVE]);
	cgroup_remove(&side_cgroup[HOT]);
}

/* A key of ub.stat of the side's cgroup; -1 without the module. */
static inline long side_stat(enum side side, const char *key)
{
	return cgroup_stat(&side_cgroup[side], key);
}

/**
 * heat - repeat a loop until its syscalls are chained
 * @loop: makes some hundred syscalls, and takes the path that is to be hot
 * Return: 1 when in one call of @loop nine of ten syscalls were chained, or when
 * there is nothing to heat (native side, no module); 0 after 20 seconds (limit_ns()).
 */
static inline int heat_to(void (*loop)(void *), void *argument, int percent)
{
	uint64_t until = now_ns() + limit_ns(20000);
	struct cgroup *own = &side_cgroup[this_side];

	if (this_side == NATIVE || !ub_present()) {
		loop(argument);
		return 1;
	}
	do {
		long chained = cgroup_stat(own, "chained"), syscalls = cgroup_stat(own, "syscalls");

		loop(argument);
		chained = cgroup_stat(own, "chained") - chained;
		syscalls = cgroup_stat(own, "syscalls") - syscalls;
		if (syscalls > 0 && chained * 100 >= syscalls * percent)
			return 1;
	} while (now_ns() < until);
	return 0;
}

static inline int heat(void (*loop)(void *), void *argument)
{
	return heat_to(loop, argument, 90);
}

/* Starts function(argument) in a child in the side's cgroup. Return: its pid. */
static inline pid_t side_start(enum side side, void (*function)(void *), void *argument)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		broken("fork");
	if (pid)
		return pid;
	this_side = side;
	if (cgroup_join(&side_cgroup[side])) {
		perror("joining the cgroup");
		_exit(126);
	}
	function(argument);
	_exit(0);
}

/* Waits for a child, at most so long. Return: its wait status; -1 and it is killed. */
static inline int child_wait(pid_t pid, unsigned int ms)
{
	uint64_t until = now_ns() + limit_ns(ms);
	int status;

	for (;;) {
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got == pid)
			return status;
		if (got < 0)
			return -1;
		if (now_ns() > until)
			break;
		sleep_ms(1);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

static inline int child_ok(int status)
{
	return status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/**
 * side_run - run a function to its end on one side
 * Return: its wait status, -1 when it had to be killed.
 */
static inline int side_run(enum side side, void (*function)(void *), void *argument)
{
	return child_wait(side_start(side, function, argument), 60000);
}

static inline const char *side_name(enum side side)
{
	return side == HOT ? "hot" : "native";
}

#define for_each_side(s) for (enum side s = NATIVE; s <= HOT; s++)
