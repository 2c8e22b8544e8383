// SPDX-License-Identifier: GPL-2.0
/* getppid: the shortest system call in a loop. */
#include "demo.h"

DEMO_LOOP loop(long calls)
{
	uint64_t sum = 0;

	while (calls--)
		sum += getppid();
	return sum;
}

int main(int argc, char **argv)
{
	struct demo demo = demo_options(argc, argv);

	return demo_main(&demo, loop);
}
