// SPDX-License-Identifier: GPL-2.0
/*
 * threads: threads of one process share translations. The same code hot in two
 * and in eight of them computes right sums, in private and in shared memory with
 * atomic operations and with mutexes; threads come and go meanwhile; one of them
 * calls exec or ends the process, or the first one ends, while the others chain.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "ub_test.h"

struct result {
	int hot;
	long rounds, wrong;
};

static struct result *now;

static __attribute__((noinline)) uint64_t step(uint64_t state)
{
	syscall(SYS_getppid);
	for (int i = 0; i < 10; i++)
		state = state * 6364136223846793005u + 1442695040888963407u;
	return state ^ (uint64_t)syscall(SYS_getuid);
}

static uint64_t steps(uint64_t state, long n)
{
	while (n--)
		state = step(state);
	return state;
}

static void loop(void *argument)
{
	now->wrong += steps(1, 250) == 0;
}

/* Without system calls: what steps() must come to. */
static uint64_t expected(uint64_t state, long n)
{
	while (n--)
		for (int i = 0; i < 10; i++)
			state = state * 6364136223846793005u + 1442695040888963407u;
	return state;
}

static long per_thread;
static atomic_long shared_count;
static long locked_count;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *summing(void *argument)
{
	uint64_t seed = (uint64_t)argument;

	for (long done = 0; done < per_thread; done += 200) {
		if (steps(seed, 200) != expected(seed, 200))
			__atomic_add_fetch(&now->wrong, 1, __ATOMIC_RELAXED);
		seed++;
	}
	return NULL;
}

static void *counting(void *argument)
{
	for (long i = 0; i < per_thread; i++) {
		syscall(SYS_getppid);
		atomic_fetch_add(&shared_count, 1);
		if (i % 16 == 0) {
			pthread_mutex_lock(&mutex);
			locked_count++;
			pthread_mutex_unlock(&mutex);
		}
	}
	return NULL;
}

static void all(int threads, void *(*function)(void *))
{
	pthread_t thread[8];

	for (long i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, function, (void *)(i * 1000)))
			_exit(2);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	now->rounds += threads * per_thread;
}

static void many(int threads)
{
	per_thread = duration_ms(20000);
	now->hot = heat(loop, NULL);
	all(threads, summing);
	all(threads, counting);
	now->wrong += shared_count != threads * per_thread;
	now->wrong += locked_count != threads * ((per_thread + 15) / 16);
}

static void two_side(void *argument)
{
	many(2);
}

static void eight_side(void *argument)
{
	many(8);
}

static void come_and_go_side(void *argument)
{
	now->hot = heat(loop, NULL);
	per_thread = 200;
	for (int i = 0; i < 100; i++)
		all(1 + i % 4, summing);
}

/* Threads keep their own fs base and errno. */
static __thread long own;

static void *thread_local_count(void *argument)
{
	for (long i = 0; i < per_thread; i++) {
		own += 2;
		if (syscall(SYS_close, -1) != -1 || errno != EBADF)
			own = -1000000;
		errno = 0;
	}
	if (own != 2 * per_thread)
		__atomic_add_fetch(&now->wrong, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void local_side(void *argument)
{
	per_thread = duration_ms(20000);
	now->hot = heat(loop, NULL);
	all(4, thread_local_count);
}

/* One thread does what ends all of them, or the first one, while the others are in chains: 30 times, or
 * each way three times where that takes long. */
static int ending;

static void *endless(void *argument)
{
	for (;;)
		loop(NULL);
	return NULL;
}

static void *ends_all(void *argument)
{
	for (int i = 0; i < 20; i++)
		loop(NULL);
	if (ending == 0)
		execl("/bin/sh", "sh", "-c", "exit 40", NULL);
	syscall(SYS_exit_group, 40 + ending);
	return NULL;
}

static void endings_side(void *argument)
{
	uint64_t until;

	now->hot = heat(loop, NULL);
	until = now_ns() + limit_ns(20000);
	for (int i = 0; i < 30 && (i < 9 || now_ns() < until); i++) {
		int status;
		pid_t pid;

		ending = i % 3;
		pid = fork();
		if (!pid) {
			pthread_t thread;

			for (int n = 0; n < 3; n++)
				pthread_create(&thread, NULL, endless, NULL);
			pthread_create(&thread, NULL, ends_all, NULL);
			if (ending == 2)
				syscall(SYS_exit, 3);
			endless(NULL);
		}
		status = child_wait(pid, 30000);
		now->rounds++;
		if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) != 40 + ending)
			now->wrong++;
	}
}

int main(void)
{
	static const struct {
		const char *name;
		void (*side)(void *argument);
	} tests[] = {
		{ "two threads", two_side },
		{ "eight threads", eight_side },
		{ "threads come and go", come_and_go_side },
		{ "thread-local variables", local_side },
		{ "one thread ends them all", endings_side },
	};

	now = shared(sizeof(*now));
	test_begin();
	sides_begin();
	for (unsigned int i = 0; i < ARRAY_SIZE(tests); i++)
		for_each_side(side) {
			long chained = side_stat(side, "chained"), syscalls = side_stat(side, "syscalls");
			int status;

			memset(now, 0, sizeof(*now));
			status = side_run(side, tests[i].side, NULL);
			ok(child_ok(status) && now->hot && now->rounds && !now->wrong,
			   "%s: %s (%ld rounds, %ld wrong%s)", side_name(side), tests[i].name, now->rounds,
			   now->wrong, now->hot ? "" : ", not hot");
			if (side == HOT && ub_present())
				note("%ld of %ld chained", side_stat(side, "chained") - chained,
				     side_stat(side, "syscalls") - syscalls);
		}
	sides_end();
	return test_end();
}
