// SPDX-License-Identifier: GPL-2.0
/*
 * watchpoints: hardware watchpoints on what hot gaps write. Each write natively counts; so
 * does each of a hot thread, whether the thread sets the watchpoint itself, switches it within
 * a chain, or another process sets it while the thread goes round in a gap.
 */
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>

#include "ub_test.h"

static struct result {
	int hot;
	long values[3];
} *now;		/* of the side that runs */

static int watch(const volatile void *address, pid_t pid, int disabled)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT, .size = sizeof(attr), .bp_type = HW_BREAKPOINT_W,
		.bp_addr = (uint64_t)address, .bp_len = HW_BREAKPOINT_LEN_8, .disabled = disabled,
		.exclude_kernel = 1, .exclude_hv = 1,
	};
	int fd = syscall(SYS_perf_event_open, &attr, pid, -1, -1, 0);

	now->values[0] = fd < 0 ? -errno : 0;
	return fd;
}

static long hits(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? (long)count : -errno;
}

static volatile uint64_t watched;

static void writes(void *argument)
{
	for (int i = 0; i < 500; i++) {
		syscall(SYS_getppid);
		watched++;
	}
}

static void set_side(void *argument)
{
	int fd;

	now->hot = heat(writes, NULL);
	writes(NULL);
	fd = watch(&watched, 0, 0);
	writes(NULL);
	now->values[1] = hits(fd);
	close(fd);
	writes(NULL);
	now->values[2] = (long)(watched % 500);
}

/* The chain itself switches it on and off: each write in between is counted. */
static int watching;

static void toggles(void *argument)
{
	for (int i = 0; i < 300; i++) {
		syscall(SYS_ioctl, watching, PERF_EVENT_IOC_ENABLE, 0);
		watched++;
		syscall(SYS_ioctl, watching, PERF_EVENT_IOC_DISABLE, 0);
		watched++;
	}
}

static void toggle_side(void *argument)
{
	watching = watch(&watched, 0, 1);
	heat_to(toggles, NULL, 40);
	now->hot = 1;
	for (int i = 0; i < 20; i++) {
		syscall(SYS_ioctl, watching, PERF_EVENT_IOC_RESET, 0);
		toggles(NULL);
		now->values[1] += hits(watching) != 300;
	}
	now->values[2] = hits(watching);
}

/* Another process sets it, and then lets the gap go on to what is watched. */
struct meeting {
	volatile uint64_t round, go, value;
	int hot;
};

static void rounds(void *argument)
{
	struct meeting *meeting = argument;

	for (int i = 0; i < 500; i++) {
		syscall(SYS_getppid);
		while (!meeting->go)
			meeting->round++;
		for (int k = 0; k < 3; k++)
			meeting->value++;
	}
}

static void go_round(struct meeting *meeting)
{
	meeting->go = 1;
	meeting->hot = heat(rounds, meeting);
	meeting->go = meeting->round = 0;
	rounds(meeting);
	_exit(0);
}

static void outside_side(void *argument)
{
	struct meeting *meeting = shared(sizeof(*meeting));
	uint64_t until = now_ns() + limit_ns(40000);
	pid_t pid = fork();
	int fd;

	if (!pid)
		go_round(meeting);
	while (meeting->round < 100000 && now_ns() < until)
		sleep_ms(1);
	now->hot = meeting->hot;
	fd = watch(&meeting->value, pid, 0);
	sleep_ms(20);
	meeting->go = 1;
	now->values[1] = child_ok(child_wait(pid, 10000));
	now->values[2] = hits(fd);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*side)(void *argument);
	} tests[] = {
		{ "a watchpoint on what is written", set_side },
		{ "a watchpoint switched on and off in a chain", toggle_side },
		{ "a watchpoint set by another process", outside_side },
	};
	struct result *results = shared(2 * sizeof(*results));

	test_begin();
	sides_begin();
	for (unsigned int i = 0; i < ARRAY_SIZE(tests); i++) {
		memset(results, 0, 2 * sizeof(*results));
		for_each_side(s) {
			int status;

			now = &results[s];
			status = side_run(s, tests[i].side, NULL);
			ok(child_ok(status) && now->hot, "%s: %s ran (%ld, %ld, %ld%s)", side_name(s), tests[i].name,
			   now->values[0], now->values[1], now->values[2], now->hot ? "" : ", not hot");
		}
		ok(!memcmp(results[NATIVE].values, results[HOT].values, sizeof(now->values)), "%s: as natively", tests[i].name);
	}
	sides_end();
	return test_end();
}
