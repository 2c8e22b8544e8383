/* SPDX-License-Identifier: GPL-2.0 */
/*
 * demo.h - what the demo's programs share: their command line, and how they say
 * what they did. They are ordinary programs: nothing in them knows of ub. For
 * --stat FILE they read FILE (a cgroup's ub.stat, or anything of that form)
 * before and after the measured calls, so that warming up is not counted.
 *
 *   --calls N    system calls to measure
 *   --warm MS    run the same loop for so long before
 *   --size N     bytes a call (pread, udp)
 *   --sum        sum the bytes of each call
 *   --batch N    print the nanoseconds per call of the median batch of N calls
 *   --stat FILE  print the differences of its keys
 *
 * Output: one line of KEY=VALUE words. start is CLOCK_MONOTONIC when the loop
 * began, in ns; checksum depends on what the calls returned and on nothing else.
 */
#ifndef DEMO_H
#define DEMO_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct demo {
	long calls, warm_ms, size, batch;
	int sum;
	const char *stat;
};

/* One measured piece of work: so many calls. Return: the sum of what they gave. The loop
 * that warms up is the one that is measured, not another copy that the compiler made. */
typedef uint64_t (*demo_loop)(long calls);
#define DEMO_LOOP __attribute__((noipa)) static uint64_t

static inline uint64_t demo_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

static inline struct demo demo_options(int argc, char **argv)
{
	struct demo demo = { .calls = 1000000, .warm_ms = 300, .size = 64 };

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--sum"))
			demo.sum = 1;
		else if (i + 1 == argc)
			exit(2);
		else if (!strcmp(argv[i], "--calls"))
			demo.calls = atol(argv[++i]);
		else if (!strcmp(argv[i], "--warm"))
			demo.warm_ms = atol(argv[++i]);
		else if (!strcmp(argv[i], "--size"))
			demo.size = atol(argv[++i]);
		else if (!strcmp(argv[i], "--batch"))
			demo.batch = atol(argv[++i]);
		else if (!strcmp(argv[i], "--stat"))
			demo.stat = argv[++i];
		else
			exit(2);
	}
	return demo;
}

#define DEMO_STAT_BYTES 4096

static inline void demo_stat(const char *path, char *text)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, DEMO_STAT_BYTES - 1);

	text[n < 0 ? 0 : n] = 0;
	if (fd >= 0)
		close(fd);
}

/* The value of a key in the text of a flat keyed file. */
static inline long demo_stat_value(const char *text, const char *key, size_t length)
{
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, length) && line[length] == ' ')
			return atol(line + length + 1);
	}
	return 0;
}

static inline void demo_stat_print(const char *before, const char *after)
{
	for (const char *line = after; line && *line; line = strchr(line, '\n')) {
		size_t length;

		line += *line == '\n';
		length = strcspn(line, " \n");
		if (line[length] == ' ')
			printf(" stat.%.*s=%ld", (int)length, line,
			       atol(line + length + 1) - demo_stat_value(before, line, length));
	}
}

static inline int demo_compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The same calls in batches, each timed; a timer tick falls into few of them. */
static inline double demo_median_batch(const struct demo *demo, demo_loop loop, uint64_t *checksum)
{
	long batches = demo->calls / demo->batch;
	double *ns = calloc(batches, sizeof(*ns)), median;

	if (!ns || !batches)
		exit(3);
	for (long i = 0; i < batches; i++) {
		uint64_t start = demo_now();

		*checksum += loop(demo->batch);
		ns[i] = (double)(demo_now() - start) / demo->batch;
	}
	qsort(ns, batches, sizeof(*ns), demo_compare);
	median = ns[batches / 2];
	free(ns);
	return median;
}

static inline int demo_main(const struct demo *demo, demo_loop loop)
{
	static char before[DEMO_STAT_BYTES], after[DEMO_STAT_BYTES];
	uint64_t start = demo_now(), begin, end, checksum = 0;
	double median = 0;

	while (demo_now() - start < (uint64_t)demo->warm_ms * 1000000u)
		loop(256);
	if (demo->stat)
		demo_stat(demo->stat, before);
	begin = demo_now();
	if (demo->batch)
		median = demo_median_batch(demo, loop, &checksum);
	else
		checksum = loop(demo->calls);
	end = demo_now();
	if (demo->stat)
		demo_stat(demo->stat, after);

	printf("calls=%ld ns=%lu checksum=%lu start=%lu", demo->calls, end - begin, checksum, start);
	if (demo->batch)
		printf(" median=%.1f", median);
	if (demo->stat)
		demo_stat_print(before, after);
	printf("\n");
	return 0;
}

#endif
