// SPDX-License-Identifier: GPL-2.0
/*
 * pages: memory that is not there when hot code wants it. Pages that another thread brings
 * in through userfaultfd, late or never; an access that faults a hundred times before it
 * may; pages taken away again and again; a stack that recursion uses up; strings of many
 * pages, with a hole in them and under a timer; a memory cgroup at its limit. Each
 * side sees the same results, signals, registers and ends.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "ub_regs.h"

#define PAGE 4096ul
#define PAGES 256ul

struct result {
	int hot;
	long values[8];
	struct fault_seen fault;
};

static struct result *now;
static char *memory;		/* PAGES of them */

static void map_memory(void)
{
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		_exit(3);
}

/* The gap reads one word of each page, and adds to it. */
static __attribute__((noinline)) uint64_t walk_pages(char *pages, unsigned long count)
{
	uint64_t sum = 0;

	for (unsigned long i = 0; i < count; i++) {
		uint64_t *word = (uint64_t *)(pages + i * PAGE + i % 8 * 8);

		syscall(SYS_getppid);
		sum = sum * 31 + *word;
		*word += i;
	}
	return sum;
}

static void heat_walk(void *argument)
{
	walk_pages(memory, PAGES);
}

/* Pages that userfaultfd brings in: the word is the page's number. */

static int missing;
static int answers;		/* 0: none, for ever */
static atomic_long faults;

static void *bring(void *argument)
{
	uint64_t page[PAGE / 8];
	struct uffd_msg message;

	while (read(missing, &message, sizeof(message)) == sizeof(message)) {
		uint64_t at = message.arg.pagefault.address & -PAGE;
		struct uffdio_copy copy = { .dst = at, .src = (uint64_t)page, .len = PAGE };

		faults++;
		if (!answers)
			continue;
		if (faults % 16 == 0)
			sleep_ms(5);
		for (unsigned long i = 0; i < PAGE / 8; i++)
			page[i] = (at - (uint64_t)memory) / PAGE * 7 + i;
		ioctl(missing, UFFDIO_COPY, &copy);
	}
	return NULL;
}

static int begin_missing(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .range = { (uint64_t)memory, PAGES * PAGE },
					 .mode = UFFDIO_REGISTER_MODE_MISSING };
	pthread_t thread;

	missing = syscall(SYS_userfaultfd, O_CLOEXEC);
	return missing >= 0 && !ioctl(missing, UFFDIO_API, &api) && !ioctl(missing, UFFDIO_REGISTER, &range) &&
	       !pthread_create(&thread, NULL, bring, NULL);
}

static void late_side(void *argument)
{
	map_memory();
	now->hot = heat(heat_walk, NULL);
	answers = 1;
	if (!begin_missing())
		_exit(4);
	for (int i = 0; i < 8; i++) {
		madvise(memory, PAGES * PAGE, MADV_DONTNEED);
		now->values[0] = now->values[0] * 31 + (long)walk_pages(memory, PAGES);
		now->values[1] = now->values[1] * 31 + (long)walk_pages(memory, PAGES);
	}
	now->values[2] = faults;
}

/* Nobody answers: a signal's handler runs all the same, and a kill is one. */
static void count_alarm(int signal)
{
	now->values[0]++;
}

static void never_side(void *argument)
{
	struct itimerval timer = { { 0, 20000 }, { 0, 20000 } };
	struct sigaction action = { .sa_handler = count_alarm };

	map_memory();
	now->hot = heat(heat_walk, NULL);
	if (!begin_missing())
		_exit(4);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	madvise(memory + PAGE, PAGE, MADV_DONTNEED);
	now->values[1] = 1;
	walk_pages(memory, PAGES);
	now->values[2] = 1;
}

/* One access that faults a hundred times. */
UB_RIG(touch, "mov (%rdi), %rax\n add %rax, 8(%rdi)");

static int again;

static void allow_later(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	now->values[0]++;
	now->values[1] += (uint64_t)info->si_addr == (uint64_t)memory && uc->uc_mcontext.gregs[REG_RIP] == (long)touch_at;
	if (!--again)
		mprotect(memory, PAGE, PROT_READ | PROT_WRITE);
}

static void touches(void *argument)
{
	for (int i = 0; i < 300; i++)
		touch();
}

static void again_side(void *argument)
{
	struct sigaction action = { .sa_sigaction = allow_later, .sa_flags = SA_SIGINFO };

	map_memory();
	rig_patterns();
	rig_in[RDI] = (uint64_t)memory;
	memory[0] = 3;
	now->hot = heat(touches, NULL);
	memset(memory, 0, 16);
	memory[0] = 3;
	sigaction(SIGSEGV, &action, NULL);
	for (int i = 0; i < 20; i++) {
		again = 100;
		mprotect(memory, PAGE, PROT_NONE);
		touch();
	}
	now->values[2] = *(long *)(memory + 8);
	now->values[3] = (long)rig_out[RAX];
}

/* Pages that another thread takes away: a word is what was written to it last, or 0. */
static void *take_away(void *argument)
{
	while (!atomic_load((atomic_int *)argument))
		madvise(memory, PAGES * PAGE, MADV_DONTNEED);
	return NULL;
}

static void taken_side(void *argument)
{
	atomic_int end = 0;
	pthread_t thread;
	uint64_t until = now_ns() + duration_ms(2000) * 1000000ul;

	map_memory();
	now->hot = heat(heat_walk, NULL);
	pthread_create(&thread, NULL, take_away, &end);
	while (now_ns() < until) {
		for (unsigned long i = 0; i < PAGES; i++) {
			volatile uint64_t *word = (uint64_t *)(memory + i * PAGE);
			uint64_t found;

			*word = i + 1;
			syscall(SYS_getppid);
			found = *word;
			now->values[0] += found && found != i + 1;
		}
	}
	end = 1;
	pthread_join(thread, NULL);
}

/* Recursion, each level with a system call, to the end of a stack. */
static __attribute__((noinline)) uint64_t deep(uint64_t depth)
{
	volatile uint64_t local = depth * 3;
	uint64_t below;

	now->values[0] = (long)depth;
	syscall(SYS_getppid);
	below = depth ? deep(depth - 1) : 1;
	return below * 31 + local;
}

static void descend(void *argument)
{
	now->values[1] = (long)deep(400);
}

static void overflowed(int signal, siginfo_t *info, void *context)
{
	now->values[2] = signal;
	now->values[3] = info->si_code;
	now->values[4] = (long)info->si_addr;
	_exit(0);
}

static void recursion_side(void *argument)
{
	static char stack[65536];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_sigaction = overflowed, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	now->hot = heat_to(descend, NULL, 80);
	now->values[5] = (long)deep(20000);
	sigaltstack(&alternate, NULL);
	sigaction(SIGSEGV, &action, NULL);
	now->values[6] = (long)deep(100000000);
}

/* Strings. */
UB_RIG(fill, "rep stosb");
UB_RIG(copy, "rep movsb");
UB_RIG(find, "repne scasb");

static void (*string)(void);

static void set_string(uint64_t count)
{
	rig_patterns();
	rig_in[RCX] = count;
	rig_in[RSI] = (uint64_t)memory;
	rig_in[RDI] = (uint64_t)memory + (string == copy ? 64 * PAGE : 0);
	rig_in[RAX] = string == find ? 0x100 : 0x5a;
}

static void strings(void *argument)
{
	set_string(100);
	for (int i = 0; i < 300; i++)
		string();
}

static void string_side(void *argument)
{
	static void (*const kinds[])(void) = { fill, copy, find };
	static const char *const done[] = { fill_done, copy_done, find_done };
	struct itimerval timer = { { 0, 2000 }, { 0, 2000 } }, none = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = count_alarm };
	static struct fault_seen seen;

	map_memory();
	now->hot = 1;
	for (unsigned int kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
		string = kinds[kind];
		rig_resume = (uint64_t)done[kind];
		memset(memory, string == find, PAGES * PAGE);
		now->hot &= heat(strings, NULL);

		/* All of it while a timer ticks. */
		sigaction(SIGALRM, &action, NULL);
		setitimer(ITIMER_REAL, &timer, NULL);
		for (int i = 0; i < 50; i++) {
			set_string((string == copy ? 64 : 128) * PAGE);
			string();
			now->values[1] += (long)(rig_out[RCX] + rig_out[RDI] - (uint64_t)memory + rig_out[RSI]);
		}
		setitimer(ITIMER_REAL, &none, NULL);
		for (unsigned long i = 0; i < PAGES * PAGE; i += 8)
			now->values[2] = now->values[2] * 31 + *(long *)(memory + i);

		/* Into a hole: the registers say how far it came. */
		fault_install(&seen);
		memset(&seen, 0, sizeof(seen));
		mprotect(memory + 20 * PAGE, PAGE, PROT_NONE);
		mprotect(memory + 90 * PAGE, PAGE, PROT_NONE);
		set_string((string == copy ? 64 : 128) * PAGE);
		string();
		mprotect(memory, PAGES * PAGE, PROT_READ | PROT_WRITE);
		now->values[3 + kind] = (long)(seen.address + seen.registers[REG_RCX] * 3 +
					       seen.registers[REG_RDI] * 5 + seen.registers[REG_RSI] * 7 +
					       seen.count);
		signal(SIGSEGV, SIG_DFL);
	}
	now->values[0] = now->values[0] > 0;
}

/* A memory cgroup at its limit: the gap touches ever more. */
static void limit_side(void *argument)
{
	char *more;
	const unsigned long pages = 128ul << 20 >> 12;

	map_memory();
	now->hot = heat(heat_walk, NULL);
	more = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (more == MAP_FAILED)
		_exit(3);
	walk_pages(more, pages);
	now->values[0] = 1;
}

static int set_limit(enum side side, const char *bytes)
{
	return cgroup_write(&side_cgroup[side], "memory.max", bytes);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*side)(void *argument);
		int killed;
	} tests[] = {
		{ "pages that userfaultfd brings in late", late_side, 0 },
		{ "a page that never comes, and a kill", never_side, 1 },
		{ "an access that faults a hundred times", again_side, 0 },
		{ "pages taken away by another thread", taken_side, 0 },
		{ "recursion to the end of the stack", recursion_side, 0 },
		{ "strings of many pages", string_side, 0 },
		{ "a memory cgroup at its limit", limit_side, 1 },
	};
	struct result *results = shared(2 * sizeof(*results));
	int limits;

	test_begin();
	if (ub_present())
		file_write(CGROUP_ROOT "/cgroup.subtree_control", "+memory", 7);
	sides_begin();
	limits = ub_present() && !set_limit(NATIVE, "max");
	for (unsigned int i = 0; i < ARRAY_SIZE(tests); i++) {
		int limited = tests[i].side == limit_side;

		if (limited && !limits) {
			skip("no memory controller here", "%s", tests[i].name);
			continue;
		}
		memset(results, 0, 2 * sizeof(*results));
		for_each_side(s) {
			int status;
			pid_t pid;

			now = &results[s];
			if (limited)
				set_limit(s, "32M");
			pid = side_start(s, tests[i].side, NULL);
			if (tests[i].side == never_side) {
				while (!now->values[1] && !kill(pid, 0) && waitpid(pid, NULL, WNOHANG) == 0)
					sleep_ms(1);
				sleep_ms(500);
				kill(pid, SIGKILL);
			}
			status = child_wait(pid, 60000);
			if (limited)
				set_limit(s, "max");
			if (tests[i].killed)
				ok(status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && now->hot,
				   "%s: %s: killed in time%s", side_name(s), tests[i].name, now->hot ? "" : ", not hot");
			else
				ok(child_ok(status) && now->hot, "%s: %s (status %#x%s)", side_name(s), tests[i].name,
				   status, now->hot ? "" : ", not hot");
			if (tests[i].side == never_side)	/* how many is a matter of time */
				now->values[0] = now->values[0] > 1;
		}
		ok(!memcmp(results[NATIVE].values, results[HOT].values, sizeof(now->values)),
		   "%s: as natively (%ld, %ld, %ld)", tests[i].name, results[HOT].values[0], results[HOT].values[1],
		   results[HOT].values[2]);
		for (unsigned int v = 0; v < ARRAY_SIZE(now->values); v++)
			if (results[NATIVE].values[v] != results[HOT].values[v])
				note("value %u: native %#lx, hot %#lx", v, results[NATIVE].values[v],
				     results[HOT].values[v]);
	}
	sides_end();
	return test_end();
}
