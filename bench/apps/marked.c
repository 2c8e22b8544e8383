// SPDX-License-Identifier: GPL-2.0
/* marked COMMAND...: runs a command between two calls of bench_mark() (mark.h). */
#include <sys/wait.h>
#include <unistd.h>

#include "mark.h"

int main(int argc, char **argv)
{
	int status = 1;
	pid_t pid;

	if (argc < 2)
		return 2;
	bench_mark();
	pid = fork();
	if (!pid) {
		execvp(argv[1], argv + 1);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 3;
	bench_mark();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
