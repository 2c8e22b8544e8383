// SPDX-License-Identifier: GPL-2.0
/*
 * watch CGROUP REPORT COMMAND...: runs a command in a cgroup, reads the cgroup's
 * ub.stat every millisecond meanwhile, and writes one line of KEY=VALUE words to
 * the file REPORT:
 *
 *   loop    CLOCK_MONOTONIC in ns when LOOP_SYSCALLS had been made (0: never)
 *   first   when the first call was chained
 *   stat.K  the difference of key K from when most calls were chained to the end
 *
 * It costs little, so that what it watches is not held up.
 */
#include <errno.h>
#include <sys/wait.h>

#include "demo.h"

#define LOOP_SYSCALLS 300	/* more than a program makes to begin */

static char before[DEMO_STAT_BYTES], now[DEMO_STAT_BYTES], last[DEMO_STAT_BYTES], hot[DEMO_STAT_BYTES];

static void look(int fd, char *text)
{
	ssize_t n = pread(fd, text, DEMO_STAT_BYTES - 1, 0);

	text[n < 0 ? 0 : n] = 0;
}

static long key(const char *text, const char *name)
{
	return demo_stat_value(text, name, strlen(name));
}

static void join(const char *group)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1) {
		perror(path);
		_exit(126);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	struct timespec pause = { 0, 1000000 };
	uint64_t loop = 0, first = 0;
	char path[256];
	int fd, status;
	FILE *report;
	pid_t pid;

	if (argc < 4)
		return 2;
	snprintf(path, sizeof(path), "%s/ub.stat", argv[1]);
	fd = open(path, O_RDONLY);
	report = fopen(argv[2], "w");
	if (fd < 0 || !report) {
		perror(path);
		return 2;
	}
	look(fd, before);
	pid = fork();
	if (!pid) {
		join(argv[1]);
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	strcpy(last, before);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		uint64_t at = demo_now();
		long made, chained;

		look(fd, now);
		if (!loop && key(now, "syscalls") - key(before, "syscalls") >= LOOP_SYSCALLS)
			loop = at;
		if (!first && key(now, "chained") > key(before, "chained"))
			first = at;
		made = key(now, "syscalls") - key(last, "syscalls");
		chained = key(now, "chained") - key(last, "chained");
		if (!*hot && made > 20 && chained * 10 >= made * 9)
			strcpy(hot, now);
		strcpy(last, now);
		nanosleep(&pause, NULL);
	}
	fprintf(report, "loop=%lu first=%lu", loop, first);
	if (*hot)
		for (const char *line = last; line && *line; line = strchr(line, '\n')) {
			size_t length;

			line += *line == '\n';
			length = strcspn(line, " \n");
			if (line[length] == ' ')
				fprintf(report, " stat.%.*s=%ld", (int)length, line,
					atol(line + length + 1) - demo_stat_value(hot, line, length));
		}
	fprintf(report, "\n");
	fclose(report);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
