// SPDX-License-Identifier: GPL-2.0
/*
 * record TID GAPS FILE: records the gaps of a running thread by single-stepping it
 * natively: from system call to system call every instruction's address, with the stack where
 * each gap begins and ends, and at last the memory of the process's file mappings. replay.cc
 * learns these gaps as ub would. Words of 8 bytes:
 *
 *	a gap		1, words of stack, these, instructions, their addresses, words of stack, these
 *	a mapping	2, start, end, whether it is executable, its bytes
 *	the end		0
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_WORDS	256
#define END_WORDS	64
#define MOST_STEPS	200000
#define PAGES		4096
#define PAGE		4096

static pid_t tid;
static FILE *out;
static uint64_t steps[MOST_STEPS];

static struct page {
	uint64_t at;
	unsigned char bytes[PAGE];
} pages[PAGES];

static void die(const char *what)
{
	fprintf(stderr, "record: %s: %s\n", what, strerror(errno));
	exit(1);
}

static size_t peek(uint64_t at, void *to, size_t bytes)
{
	struct iovec local = { to, bytes }, remote = { (void *)at, bytes };
	ssize_t n = process_vm_readv(tid, &local, 1, &remote, 1, 0);

	return n < 0 ? 0 : n;
}

/* Code does not change. */
static unsigned int code_at(uint64_t at)
{
	struct page *page = &pages[at / PAGE % PAGES];
	unsigned char next = 0;

	if (page->at != at / PAGE * PAGE) {
		page->at = at / PAGE * PAGE;
		memset(page->bytes, 0, PAGE);
		peek(page->at, page->bytes, PAGE);
	}
	if (at % PAGE == PAGE - 1)
		peek(at + 1, &next, 1);
	else
		next = page->bytes[at % PAGE + 1];
	return page->bytes[at % PAGE] << 8 | next;
}

static void word(uint64_t value)
{
	fwrite(&value, sizeof(value), 1, out);
}

static void stack(uint64_t sp, size_t most)
{
	uint64_t words[START_WORDS];
	size_t n = peek(sp, words, most * sizeof(words[0])) / sizeof(words[0]);

	word(n);
	fwrite(words, sizeof(words[0]), n, out);
}

static uint64_t reg(size_t offset)
{
	return ptrace(PTRACE_PEEKUSER, tid, offset, 0);
}

#define RIP reg(offsetof(struct user_regs_struct, rip))
#define RSP reg(offsetof(struct user_regs_struct, rsp))

/* One instruction on; of a system call to behind it. Return: where that is. */
static uint64_t step(void)
{
	int status, signal = 0;

	do {
		if (ptrace(PTRACE_SINGLESTEP, tid, 0, signal) || waitpid(tid, &status, __WALL) != tid)
			die("stepping");
		if (!WIFSTOPPED(status))
			die("it ended");
		signal = WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == SIGSTOP ? 0 : WSTOPSIG(status);
	} while (WSTOPSIG(status) != SIGTRAP);
	return RIP;
}

static void gap(uint64_t ip)
{
	size_t count = 0;

	word(1);
	stack(RSP, START_WORDS);
	for (;; ip = step()) {
		/* Each round of a repeated string instruction is a step. */
		if (!count || steps[count - 1] != ip)
			steps[count++] = ip;
		if (code_at(ip) == 0x0f05 || count == MOST_STEPS)
			break;
	}
	word(count);
	fwrite(steps, sizeof(steps[0]), count, out);
	stack(RSP, END_WORDS);
}

static void mappings(void)
{
	char path[64], line[512];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", tid);
	maps = fopen(path, "r");
	if (!maps)
		die(path);
	while (fgets(line, sizeof(line), maps)) {
		uint64_t start, end;
		char mode[8], file[256] = "";
		unsigned char *bytes;

		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %255s", &start, &end, mode, file) < 3 || mode[0] != 'r' ||
		    !(file[0] == '/' || !strcmp(file, "[vdso]")) || !(bytes = calloc(1, end - start)))
			continue;
		peek(start, bytes, end - start);
		word(2);
		word(start);
		word(end);
		word(mode[2] == 'x');
		fwrite(bytes, 1, end - start, out);
		free(bytes);
	}
	fclose(maps);
	word(0);
}

int main(int argc, char **argv)
{
	uint64_t ip;
	int status;

	if (argc != 4)
		return 2;
	tid = atoi(argv[1]);
	out = fopen(argv[3], "w");
	if (!out || ptrace(PTRACE_ATTACH, tid, 0, 0) || waitpid(tid, &status, __WALL) != tid)
		die("attaching");
	/* A call that the stop has interrupted is made anew. */
	for (ip = RIP; code_at(ip) != 0x0f05;)
		ip = step();
	for (long left = atol(argv[2]); left; left--)
		gap(step());
	mappings();
	ptrace(PTRACE_DETACH, tid, 0, 0);
	return fclose(out) ? 1 : 0;
}
