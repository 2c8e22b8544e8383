// SPDX-License-Identifier: GPL-2.0
/*
 * lifecycle: which tasks chain. A child of an enabled task does, a program after
 * exec, a thread made later, a task that is moved in while it sleeps, and tasks
 * that were there when the cgroup was enabled; a task that is moved out stops.
 * Counters only ever grow, also over the end of their tasks.
 */
#include <pthread.h>

#include "ub_test.h"

static void loop(void *argument)
{
	for (int i = 0; i < 500; i++)
		syscall(SYS_getppid);
}

static void heats(void *hot)
{
	*(int *)hot = heat(loop, NULL);
}

static void child_heats(void *hot)
{
	pid_t pid = fork();

	if (!pid) {
		heats(hot);
		_exit(0);
	}
	_exit(!child_ok(child_wait(pid, 30000)));
}

static void hot_then_child_heats(void *hot)
{
	heats(hot);
	if (*(int *)hot) {
		*(int *)hot = 0;
		child_heats(hot);
	}
}

/* This program again, from exec: "lifecycle heat NAME". */
static char self[PATH_MAX];

static void exec_heats(void *hot)
{
	execl(self, self, "heat", side_cgroup[this_side].path, NULL);
	_exit(127);
}

static void *thread_heats(void *hot)
{
	heats(hot);
	return NULL;
}

static void late_thread(void *hot)
{
	pthread_t thread;

	heats(hot);
	*(int *)hot = 0;
	if (pthread_create(&thread, NULL, thread_heats, hot))
		_exit(2);
	pthread_join(thread, NULL);
}

static void each(const char *name, void (*function)(void *), int *hot)
{
	for_each_side(side) {
		*hot = 0;
		ok(child_ok(side_run(side, function, hot)) && (*hot || function == exec_heats), "%s: %s",
		   side_name(side), name);
	}
}

/* Moving a looping or sleeping task */

static int pipe_fd[2];
static volatile uint64_t *rounds;

static void endless(void *argument)
{
	for (;; ++*rounds)
		loop(NULL);
}

static void reads_then_endless(void *argument)
{
	char c;

	if (read(pipe_fd[0], &c, 1) != 1)
		_exit(5);
	endless(NULL);
}

static int chains(enum side side, unsigned int ms)
{
	uint64_t until = now_ns() + ms * 1000000ul;

	do {
		long chained = side_stat(side, "chained");

		sleep_ms(30);
		if (side_stat(side, "chained") > chained + 100)
			return 1;
	} while (now_ns() < until);
	return 0;
}

static void moves(void)
{
	pid_t pid = side_start(HOT, endless, NULL);
	long before;
	uint64_t at;

	ok(chains(HOT, 10000), "a looping task chains");
	for (int i = 0; i < 3; i++) {
		cgroup_move(&side_cgroup[NATIVE], pid);
		sleep_ms(50);
		before = side_stat(NATIVE, "chained") + side_stat(HOT, "chained");
		at = *rounds;
		sleep_ms(100);
		ok(side_stat(NATIVE, "chained") + side_stat(HOT, "chained") == before && *rounds > at,
		   "moved out it goes on and stops chaining");
		cgroup_move(&side_cgroup[HOT], pid);
		ok(chains(HOT, 10000), "moved back it chains");
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);

	if (pipe(pipe_fd))
		broken("pipe");
	pid = side_start(NATIVE, reads_then_endless, NULL);
	sleep_ms(100);
	cgroup_move(&side_cgroup[HOT], pid);
	sleep_ms(50);
	ok(write(pipe_fd[1], "x", 1) == 1 && chains(HOT, 10000), "moved in while it sleeps in read it chains");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);

	pid = side_start(NATIVE, reads_then_endless, NULL);
	sleep_ms(100);
	ok(!cgroup_write(&side_cgroup[NATIVE], "ub.enable", "1"), "enabled while a task sleeps in it");
	ok(write(pipe_fd[1], "x", 1) == 1 && chains(NATIVE, 10000), "that task chains");
	ok(!cgroup_write(&side_cgroup[NATIVE], "ub.enable", "0"), "disabled again");
	sleep_ms(50);
	ok(!chains(NATIVE, 100), "it stops");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

/* Short processes, and counters that only grow */

static void short_ones(void)
{
	static const char *const keys[] = { "syscalls", "chained", "entries", "exits", "translated",
					    "rejected", "retired", "translate_usec" };
	long last[ARRAY_SIZE(keys)] = { 0 };
	int failed = 0, shrunk = 0;

	for (int i = 0; i < 200; i++) {
		pid_t pid = side_start(HOT, loop, NULL);

		if (!child_ok(child_wait(pid, 10000)))
			failed++;
		for (unsigned int k = 0; k < ARRAY_SIZE(keys); k++) {
			long now = side_stat(HOT, keys[k]);

			if (now < last[k]) {
				note("%s went from %ld to %ld", keys[k], last[k], now);
				shrunk++;
			}
			last[k] = now;
		}
	}
	ok(!failed, "200 short processes ran");
	if (ub_present()) {
		ok(!shrunk, "no counter ever shrank");
		ok(last[0] >= 200 * 500, "their %ld system calls were counted", last[0]);
	}
}

int main(int argc, char **argv)
{
	int *hot = shared(4096);

	if (argc == 3 && !strcmp(argv[1], "heat")) {
		snprintf(side_cgroup[HOT].path, sizeof(side_cgroup[HOT].path), "%.190s", argv[2]);
		this_side = strstr(argv[2], ".hot") ? HOT : NATIVE;
		return !heat(loop, NULL);
	}
	rounds = (volatile uint64_t *)(hot + 64);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		broken("readlink");
	test_begin();
	sides_begin();
	each("a task chains", heats, hot);
	each("a child chains", child_heats, hot);
	each("a child of a hot task chains", hot_then_child_heats, hot);
	each("a program after exec chains", exec_heats, hot);
	each("a thread made later chains", late_thread, hot);
	if (ub_present())
		moves();
	else
		skip("ub is not loaded", "moves");
	short_ones();
	sides_end();
	return test_end();
}
