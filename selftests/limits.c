// SPDX-License-Identifier: GPL-2.0
/*
 * limits: what an administrator does to a hot program's time: freezing it, limiting and moving
 * its CPUs, taking one away. It stops, shares and moves as natively, and goes on rightly.
 */
#include "ub_test.h"

struct outside {
	volatile long rounds;
	volatile int hot, stop, wrong;
};

static struct outside *outside;

static void rounds(void *argument)
{
	long parent = getppid();

	for (int i = 0; i < 300; i++)
		outside->wrong |= getppid() != parent;
}

static void loop(void *argument)
{
	outside->hot = heat(rounds, NULL);
	while (!outside->stop) {
		rounds(NULL);
		outside->rounds++;
	}
}

static int advances(void)
{
	long before = outside->rounds;

	for (int i = 0; i < 5000 && outside->rounds < before + 3; i++)
		sleep_ms(1);
	return outside->rounds >= before + 3;
}

static pid_t loop_start(void)
{
	pid_t pid;

	memset(outside, 0, sizeof(*outside));
	pid = side_start(HOT, loop, NULL);
	for (int i = 0; i < 25000 && !outside->rounds; i++)
		sleep_ms(1);
	return pid;
}

static int loop_end(pid_t pid)
{
	outside->stop = 1;
	return child_ok(child_wait(pid, 10000)) && outside->hot && !outside->wrong;
}

static void test_freezer(void)
{
	pid_t pid = loop_start();
	int stood = 1, good = 1;
	char text[200];

	if (!ub_present()) {
		loop_end(pid);
		skip("there is no cgroup of its own", "the freezer stops a hot loop, and lets it go on");
		return;
	}
	for (int i = 0; i < 5; i++) {
		long at;

		good &= !cgroup_write(&side_cgroup[HOT], "cgroup.freeze", "1");
		for (int n = 0; n < 2000; n++) {
			if (!cgroup_read(&side_cgroup[HOT], "cgroup.events", text, sizeof(text)) && strstr(text, "frozen 1"))
				break;
			sleep_ms(1);
		}
		good &= strstr(text, "frozen 1") != NULL;
		at = outside->rounds;
		sleep_ms(50);
		stood &= outside->rounds == at;
		good &= !cgroup_write(&side_cgroup[HOT], "cgroup.freeze", "0");
		good &= advances();
	}
	ok(loop_end(pid) && good && stood, "the freezer stops a hot loop, and lets it go on");
}

/* CPU seconds the process has used. */
static double cpu_seconds(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		return -1;
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void test_cpu_max(void)
{
	pid_t pid = loop_start();
	double used, share;
	uint64_t from;

	if (cgroup_write(&side_cgroup[HOT], "cpu.max", "20000 100000")) {
		loop_end(pid);
		skip("the cgroup has no cpu.max", "cpu.max bounds a hot loop");
		return;
	}
	sleep_ms(200);
	from = now_ns();
	used = cpu_seconds(pid);
	sleep_ms(1000);
	share = (cpu_seconds(pid) - used) / ((now_ns() - from) / 1e9);
	cgroup_write(&side_cgroup[HOT], "cpu.max", "max 100000");
	note("share of a CPU with cpu.max at a fifth: %.2f", share);
	ok(share > 0.05 && share < 0.35 && advances() && loop_end(pid), "cpu.max bounds a hot loop");
}

static void test_cpus(void)
{
	pid_t pid = loop_start();
	cpu_set_t set;
	int good = 1;

	for (int i = 0; i < 20; i++) {
		CPU_ZERO(&set);
		CPU_SET(i % 2, &set);
		good &= !sched_setaffinity(pid, sizeof(set), &set) || i % 2;
		good &= advances();
	}
	ok(good, "a hot loop moves from CPU to CPU");
	if (file_write("/sys/devices/system/cpu/cpu1/online", "0", 1)) {
		skip("no CPU can be taken away", "a CPU goes and comes back under a hot loop");
	} else {
		good = advances();
		good &= !file_write("/sys/devices/system/cpu/cpu1/online", "1", 1);
		good &= advances();
		ok(good, "a CPU goes and comes back under a hot loop");
	}
	ok(loop_end(pid), "the loop has gone on rightly");
}

int main(void)
{
	test_begin();
	outside = shared(sizeof(*outside));
	file_write(CGROUP_ROOT "/cgroup.subtree_control", "+cpu", 4);
	sides_begin();
	test_freezer();
	test_cpu_max();
	test_cpus();
	sides_end();
	return test_end();
}
