// SPDX-License-Identifier: GPL-2.0
/*
 * switch: the module's parameters. Values out of range are refused and change
 * nothing; enabled=0 stops all chaining at once, 1 lets it go on; the values in
 * range are taken while a loop runs.
 */
#include <dirent.h>

#include "ub_test.h"

static volatile uint64_t *rounds;

static void loop(void *argument)
{
	for (int i = 0; i < 500; i++)
		syscall(SYS_getppid);
}

static void endless(void *argument)
{
	for (;; ++*rounds)
		loop(NULL);
}

/* How many syscalls the hot side chained in so many milliseconds; `all` how many it made. */
static long chained_in(unsigned int ms, long *all)
{
	long before = side_stat(HOT, "chained"), syscalls = side_stat(HOT, "syscalls");

	sleep_ms(ms);
	*all = side_stat(HOT, "syscalls") - syscalls;
	return side_stat(HOT, "chained") - before;
}

static int wait_chaining(void)
{
	for (int i = 0; i < 200; i++) {
		long all, chained = chained_in(50, &all);

		if (all > 100 && chained > all / 2)
			return 1;
	}
	return 0;
}

static void out_of_range(const char *name)
{
	static const char *const values[] = { "", "x", "-1", "1x", "99999999999999999999",
					      "18446744073709551615", "4294967296", "0x", "1 2" };
	char before[64], after[64];
	int wrong = 0;

	if (parameter_read(name, before, sizeof(before)))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		/* An empty write(2) never reaches the parameter; a newline does. */
		int result = parameter_write(name, *values[i] ? values[i] : "\n");

		parameter_read(name, after, sizeof(after));
		if ((result != -EINVAL && result != -ERANGE) || strcmp(before, after)) {
			note("%s: \"%s\" gave %d, value %s, then %s", name, values[i], result, before, after);
			wrong++;
			parameter_write(name, before);
		}
	}
	ok(!wrong, "parameter %s (%s) refuses what is out of range", name, before);
	ok(!parameter_write(name, before), "parameter %s takes its own value", name);
}

/* All writable parameters there are. */
static void parameters(void)
{
	DIR *dir = opendir(PARAMETERS);
	struct dirent *entry;
	struct stat st;
	char path[512];

	if (!dir)
		broken("opening " PARAMETERS);
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), PARAMETERS "%.200s", entry->d_name);
		if (entry->d_name[0] == '.' || stat(path, &st) || !(st.st_mode & 0200))
			continue;
		out_of_range(entry->d_name);
	}
	closedir(dir);
}

int main(void)
{
	long all, chained, late;
	uint64_t before;
	pid_t pid;

	test_begin();
	if (!ub_present()) {
		skip("ub is not loaded", "the module's parameters");
		return test_end();
	}
	rounds = shared(4096);
	sides_begin();
	pid = side_start(HOT, endless, NULL);

	ok(wait_chaining(), "a loop chains");
	parameters();
	ok(wait_chaining(), "it still does after refused values");

	for (int i = 0; i < 3; i++) {
		ok(!parameter_write("enabled", "0"), "enabled=0");
		chained_in(20, &all);
		before = *rounds;
		chained = chained_in(200, &all);
		late = *rounds - before;
		ok(chained == 0, "nothing is chained (%ld of %ld)", chained, all);
		ok(late > 0, "the loop runs on (%ld rounds)", late);
		ok(!parameter_write("enabled", "1"), "enabled=1");
		ok(wait_chaining(), "it chains again");
	}

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	sides_end();
	return test_end();
}
