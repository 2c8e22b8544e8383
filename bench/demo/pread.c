// SPDX-License-Identifier: GPL-2.0
/*
 * pread: reads a file in /dev/shm in pieces of --size bytes, round and round;
 * with --sum it sums the bytes of each piece.
 */
#include "demo.h"

#define FILE_BYTES (1 << 20)

static struct demo demo;
static int fd;
static unsigned char buffer[65536];

DEMO_LOOP loop_plain(long calls)
{
	uint64_t sum = 0;
	off_t at = 0;

	while (calls--) {
		ssize_t n = pread(fd, buffer, demo.size, at);

		sum += n + buffer[0];
		at += demo.size;
		if (at >= FILE_BYTES)
			at = 0;
	}
	return sum;
}

DEMO_LOOP loop_sum(long calls)
{
	uint64_t sum = 0;
	off_t at = 0;

	while (calls--) {
		ssize_t n = pread(fd, buffer, demo.size, at);

		for (ssize_t i = 0; i < n; i++)
			sum += buffer[i];
		at += demo.size;
		if (at >= FILE_BYTES)
			at = 0;
	}
	return sum;
}

/* The same bytes each time. */
static int make_file(void)
{
	char name[] = "/dev/shm/demo-pread.XXXXXX";
	uint32_t state = 1;
	int file = mkstemp(name);

	if (file < 0)
		return -1;
	unlink(name);
	for (int i = 0; i < FILE_BYTES; i += sizeof(buffer)) {
		for (size_t j = 0; j < sizeof(buffer); j++) {
			state = state * 1664525 + 1013904223;
			buffer[j] = state >> 24;
		}
		if (write(file, buffer, sizeof(buffer)) != sizeof(buffer))
			return -1;
	}
	return file;
}

int main(int argc, char **argv)
{
	demo = demo_options(argc, argv);
	if (demo.size < 1 || demo.size > (long)sizeof(buffer) || (fd = make_file()) < 0)
		return 1;
	return demo_main(&demo, demo.sum ? loop_sum : loop_plain);
}
