// SPDX-License-Identifier: GPL-2.0
/*
 * spin [CGROUP]: joins the cgroup and makes getppid and getuid until SIGTERM, each
 * result checked; then prints "rounds N wrong M". For tests that are scripts.
 */
#include "ub_test.h"

static volatile int ended;

static void end(int signal)
{
	ended = 1;
}

int main(int argc, char **argv)
{
	long rounds = 0, wrong = 0, parent = getppid(), user = getuid();

	signal(SIGTERM, end);
	if (argc > 1 && cgroup_join_path(argv[1]))
		return 2;
	while (!ended) {
		wrong += syscall(SYS_getppid) != parent;
		wrong += syscall(SYS_getuid) != user;
		rounds++;
	}
	printf("rounds %ld wrong %ld\n", rounds, wrong);
	return wrong != 0;
}
