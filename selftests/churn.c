// SPDX-License-Identifier: GPL-2.0
/*
 * churn [CGROUP]: joins the cgroup, and until SIGTERM four threads call functions that
 * make system calls, each in a page of a mapped file, while the first thread drops these pages
 * one after the other: translations are published, looked up and retired all the time. Each
 * result is checked; then prints "rounds N wrong M". For tests that are scripts.
 */
#include <pthread.h>

#include "ub_code.h"
#include "ub_test.h"

#define PAGE 4096ul
#define PAGES 8
#define THREADS 4

static volatile int ended;
static char *place;
static long rounds, wrong;

static void end(int signal)
{
	ended = 1;
}

static void *call(void *argument)
{
	long done = 0, bad = 0;

	while (!ended) {
		for (int page = 0; page < PAGES; page++)
			for (int i = 0; i < 50; i++)
				bad += ((int (*)(void))(place + page * PAGE))() != page + 1;
		done++;
	}
	__atomic_add_fetch(&rounds, done, __ATOMIC_RELAXED);
	__atomic_add_fetch(&wrong, bad, __ATOMIC_RELAXED);
	return NULL;
}

static void map_code(void)
{
	char name[] = "/tmp/ub-churn.XXXXXX";
	int fd = mkstemp(name);

	if (fd < 0 || ftruncate(fd, PAGES * PAGE))
		broken("a file");
	for (int page = 0; page < PAGES; page++)
		if (!code_write(fd, page * PAGE, page + 1))
			broken("writing the file");
	close(fd);
	fd = open(name, O_RDONLY);
	unlink(name);
	place = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	if (place == MAP_FAILED)
		broken("mapping the file");
	close(fd);
}

int main(int argc, char **argv)
{
	pthread_t thread[THREADS];

	signal(SIGTERM, end);
	map_code();
	if (argc > 1 && cgroup_join_path(argv[1]))
		return 2;
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, call, NULL))
			return 2;
	for (int page = 0; !ended; page = (page + 1) % PAGES) {
		sleep_ms(20);
		madvise(place + page * PAGE, PAGE, MADV_DONTNEED);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	printf("rounds %ld wrong %ld\n", rounds, wrong);
	return wrong != 0;
}
