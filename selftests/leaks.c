// SPDX-License-Identifier: GPL-2.0
/*
 * leaks [PROCESSES]: processes become hot and end, some at once, many one after the other. What
 * ub had for them goes with them: its gauges are back at 0, and neither what the cgroup is charged
 * nor the kernel's slabs grow more with their number than they do natively.
 *
 * A few hundred take a minute; 10000 show a leak of some hundred bytes in each.
 */
#include "ub_test.h"

#define AT_ONCE 20
#define CALLS 3000

/* What may come to stay, more than natively, and for each process. All kinds of things are in slabs. */
#define CHARGED_MORE (64 << 10)
#define SLABS_MORE (1 << 20)
#define BYTES_EACH 16

static void calls(int count)
{
	volatile int sum = 0;

	for (int i = 0; i < count; i++) {
		syscall(SYS_getppid);
		for (int k = 0; k < i % 4; k++)
			sum += k;
		syscall(SYS_getuid);
	}
}

static void live(void *argument)
{
	calls(CALLS);
}

/* Return: how many did not end well. */
static int processes(enum side side, int count)
{
	pid_t pids[AT_ONCE];
	int bad = 0;

	for (int done = 0; done < count; done += AT_ONCE) {
		for (int i = 0; i < AT_ONCE; i++)
			pids[i] = side_start(side, live, NULL);
		for (int i = 0; i < AT_ONCE; i++)
			bad += !child_ok(child_wait(pids[i], 60000));
	}
	return bad;
}

/* The number behind a key of a file of lines; -1 without it. */
static long number_in(const char *path, const char *key)
{
	char line[256];
	long number = -1;
	size_t length = strlen(key);
	FILE *file = fopen(path, "r");

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, length) && (line[length] == ' ' || line[length] == ':'))
			number = strtol(line + length + 1, NULL, 10);
	if (file)
		fclose(file);
	return number;
}

struct kept {
	long charged, slabs;	/* bytes; charged: of kernel memory that nobody could reclaim */
};

static struct kept look(enum side which)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/memory.stat", side_cgroup[which].path);
	return (struct kept){ number_in(path, "kernel") - number_in(path, "slab_reclaimable"),
			      number_in("/proc/meminfo", "SUnreclaim") * 1024 };
}

static long gauges(enum side which)
{
	return side_stat(which, "sites") + side_stat(which, "translations") + side_stat(which, "code_bytes");
}

/* What is freed late is. Return: whether ub has nothing of them any more. */
static int settle(enum side which)
{
	uint64_t until = now_ns() + limit_ns(10000);

	while (gauges(which) && now_ns() < until)
		sleep_ms(50);
	sleep_ms(3000);
	return !gauges(which);
}

/* Return: what more is kept of so many more processes. */
static struct kept run(enum side which, int count)
{
	long translated;
	struct kept before, after;
	int bad = processes(which, 100);

	ok(settle(which), "%s: nothing is left of 100 processes", side_name(which));
	before = look(which);
	translated = side_stat(which, "translated");
	bad += processes(which, count);
	translated = side_stat(which, "translated") - translated;
	ok(!bad, "%s: %d processes ran", side_name(which), count + 100);
	if (which == HOT)
		ok(translated > count / 4, "they had %ld translations", translated);
	ok(settle(which), "%s: nothing is left of them", side_name(which));
	after = look(which);
	note("%s: charged %+ld bytes, slabs %+ld", side_name(which), after.charged - before.charged, after.slabs - before.slabs);
	return (struct kept){ after.charged - before.charged, after.slabs - before.slabs };
}

int main(int argc, char **argv)
{
	const int count = argc > 1 ? atoi(argv[1]) : (int)duration_ms(400);
	const long each = (long)count * BYTES_EACH;
	struct cgroup root = { CGROUP_ROOT };
	struct kept more[2];

	test_begin();
	if (!ub_present()) {
		skip("ub is not loaded", "what processes leave behind");
		return test_end();
	}
	if (cgroup_write(&root, "cgroup.subtree_control", "+memory"))
		broken("the memory controller");
	sides_begin();
	for_each_side(side)
		more[side] = run(side, count);
	ok(more[HOT].charged - more[NATIVE].charged <= CHARGED_MORE + each, "charged no more than natively");
	ok(more[HOT].slabs - more[NATIVE].slabs <= SLABS_MORE + each, "no more in slabs than natively");
	sides_end();
	return test_end();
}
