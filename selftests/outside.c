// SPDX-License-Identifier: GPL-2.0
/*
 * outside: while one cgroup is enabled and busy, a process outside of it works,
 * is not counted anywhere, and its system calls cost about what they cost.
 */
#include "ub_test.h"

static struct cgroup neither;
static volatile uint64_t *stop;

static void busy(void *argument)
{
	while (!*stop)
		syscall(SYS_getppid);
}

static int outside(void)
{
	int wrong = 0;

	for (int i = 0; i < 20000; i++)
		wrong += syscall(SYS_getppid) != getppid();
	return wrong;
}

int main(void)
{
	static const char *const keys[] = { "syscalls", "chained", "entries", "exits", "sites" };
	long counted = 0;
	int status;
	pid_t pid, inside;

	test_begin();
	if (!ub_present()) {
		ok(!outside(), "system calls work");
		return test_end();
	}
	stop = shared(4096);
	sides_begin();
	if (cgroup_make(&neither, NULL, "neither"))
		broken("making a cgroup");
	inside = side_start(HOT, busy, NULL);
	sleep_ms(200);
	ok(side_stat(HOT, "syscalls") > 0, "a busy task inside is counted (%ld)", side_stat(HOT, "syscalls"));

	fflush(stdout);
	pid = fork();
	if (!pid) {
		cgroup_join(&neither);
		_exit(outside() != 0);
	}
	waitpid(pid, &status, 0);
	ok(child_ok(status), "system calls outside work");
	for (unsigned int i = 0; i < ARRAY_SIZE(keys); i++) {
		long value = cgroup_stat(&neither, keys[i]);

		if (value)
			note("%s is %ld", keys[i], value);
		counted += value;
	}
	ok(counted == 0, "and are not counted there");
	ok(cgroup_stat(&neither, "enabled") == 0, "its ub.stat says it is not enabled");
	pid = side_start(NATIVE, busy, NULL);
	sleep_ms(200);
	ok(side_stat(NATIVE, "chained") == 0 && side_stat(NATIVE, "entries") == 0,
	   "nothing is chained where ub.enable is 0");
	*stop = 1;
	waitpid(pid, NULL, 0);
	waitpid(inside, NULL, 0);
	cgroup_remove(&neither);
	sides_end();
	return test_end();
}
