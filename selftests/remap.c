// SPDX-License-Identifier: GPL-2.0
/*
 * remap: code that a translation was made from is unmapped, protected, moved,
 * replaced, truncated or overwritten, by the thread itself or by another while
 * it is hot. What runs is always what is mapped at that moment; where nothing
 * is, the SIGSEGV or SIGBUS is the native one.
 */
#include <pthread.h>
#include <ucontext.h>

#include "ub_code.h"
#include "ub_test.h"

#define PAGE 4096ul

struct result {
	int hot, signal, code;
	uint64_t address, rip;		/* relative to the mapping */
	int values[8];
	long rounds, wrong;
	char name[64];			/* of the file that is mapped */
};

static struct result *now;
static char *place;			/* where the function is mapped, two pages */
static int file;

static void write_value(int fd, int value)
{
	if (!code_write(fd, 0, value))
		_exit(20);
}

/* A file that holds the function, closed again. Return: a read-only descriptor. */
static int code_file(int value, char *name)
{
	int fd;

	strcpy(name, "/tmp/ub-remap.XXXXXX");
	fd = mkstemp(name);
	if (fd < 0 || ftruncate(fd, 2 * PAGE))
		_exit(21);
	write_value(fd, value);
	close(fd);
	fd = open(name, O_RDONLY);
	if (fd < 0)
		_exit(22);
	return fd;
}

static void map_at(void *address, int fd)
{
	place = mmap(address, 2 * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | (address ? MAP_FIXED : 0), fd, 0);
	if (place == MAP_FAILED)
		_exit(23);
}

static __attribute__((noinline)) int call(void)
{
	return ((int (*)(void))place)();
}

static void loop(void *argument)
{
	for (int i = 0; i < 500; i++) {
		now->rounds++;
		now->wrong += call() != 1;
	}
}


static void handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uint64_t *stack = (uint64_t *)uc->uc_mcontext.gregs[REG_RSP];

	now->signal = signal;
	now->code = info->si_code;
	now->address = (uint64_t)info->si_addr - (uint64_t)place;
	now->rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP] - (uint64_t)place;
	/* The code is gone: return to its caller for it. */
	uc->uc_mcontext.gregs[REG_RIP] = *stack;
	uc->uc_mcontext.gregs[REG_RSP] += 8;
	uc->uc_mcontext.gregs[REG_RAX] = -1;
}

static void begin(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	file = code_file(1, now->name);
	map_at(NULL, file);
	now->hot = heat(loop, NULL);
	loop(NULL);
}

static void unmap_side(void *argument)
{
	begin();
	munmap(place, PAGE);
	now->values[0] = call();
}

static void protect_side(void *argument)
{
	begin();
	mprotect(place, PAGE, PROT_READ);
	now->values[0] = call();
	mprotect(place, PAGE, PROT_READ | PROT_EXEC);
	now->values[1] = call();
	loop(NULL);
	mprotect(place, PAGE, PROT_NONE);
	now->values[2] = call();
	mprotect(place, PAGE, PROT_READ | PROT_EXEC);
	now->values[3] = call();
	loop(NULL);
	now->values[4] = !heat(loop, NULL);
}

static void move_side(void *argument)
{
	char *old, *to;

	begin();
	old = place;
	to = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	place = mremap(old, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	now->values[0] = call();
	loop(NULL);
	place = old;
	now->values[1] = call();
}

static void replace_side(void *argument)
{
	char name[64];
	int other;

	begin();
	other = code_file(7, name);
	unlink(name);
	map_at(place, other);
	now->values[0] = call();
	now->values[1] = call();
	map_at(place, file);
	now->values[2] = call();
	loop(NULL);
	for (int i = 0; i < 50; i++) {
		map_at(place, other);
		now->wrong += call() != 7;
		map_at(place, file);
		now->wrong += call() != 1;
		loop(NULL);
	}
}

static void anonymous_side(void *argument)
{
	int value = 9;

	begin();
	mprotect(place, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	memcpy(place + VALUE_AT, &value, 4);
	now->values[0] = call();
	for (int i = 0; i < 2000; i++) {
		memcpy(place + VALUE_AT, &i, 4);
		now->wrong += call() != i;
	}
	mprotect(place, PAGE, PROT_READ | PROT_EXEC);
	now->values[1] = call();
}

/* No notifier tells of these three. */
static void write_side(void *argument)
{
	int fd;

	begin();
	fd = open(now->name, O_RDWR);
	write_value(fd, 5);
	now->values[0] = call();
	for (int i = 10; i < 500; i++) {
		write_value(fd, i);
		now->wrong += call() != i;
	}
	write_value(fd, 1);
	close(fd);
	loop(NULL);
	now->values[1] = !heat(loop, NULL);
	fd = open(now->name, O_RDWR);
	write_value(fd, 6);
	close(fd);
	now->values[2] = call();
}

static void alias_side(void *argument)
{
	int fd, value = 5;
	char *alias;

	begin();
	fd = open(now->name, O_RDWR);
	alias = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (alias == MAP_FAILED)
		_exit(24);
	memcpy(alias + VALUE_AT, &value, 4);
	now->values[0] = call();
	for (int i = 10; i < 2000; i++) {
		memcpy(alias + VALUE_AT, &i, 4);
		now->wrong += call() != i;
	}
}

static void other_process_side(void *argument)
{
	pid_t pid;
	int status;

	begin();
	pid = fork();
	if (!pid) {
		write_value(open(now->name, O_RDWR), 8);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	now->values[0] = call();
}

static void truncate_side(void *argument)
{
	begin();
	if (truncate(now->name, 0))
		_exit(25);
	now->values[0] = call();
}

static void dontneed_side(void *argument)
{
	begin();
	madvise(place, PAGE, MADV_DONTNEED);
	now->values[0] = call();
	loop(NULL);
}

static void fork_side(void *argument)
{
	begin();
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			int value;

			now = shared(sizeof(*now));
			munmap(place, PAGE);
			value = call();
			_exit(value == -1 && now->signal == SIGSEGV && now->address == 0 ? 0 : 1);
		}
		loop(NULL);
		waitpid(pid, &status, 0);
		now->wrong += !child_ok(status);
	}
}

/* Another thread loops through it meanwhile. */
#define CHANGING 1000000		/* either value is right then */
static volatile int generation, calls_after, stop;

static void *caller(void *argument)
{
	while (!stop) {
		int before = generation, value = call(), after = generation;

		now->rounds++;
		if (before == after && before < CHANGING) {
			now->wrong += value != 1 + before % 2;
			calls_after++;
		}
	}
	return NULL;
}

static void thread_replace_side(void *argument)
{
	char name[64];
	int other;
	pthread_t thread;

	begin();
	other = code_file(2, name);
	unlink(name);
	if (pthread_create(&thread, NULL, caller, NULL))
		_exit(26);
	for (int i = 0; i < 100; i++) {
		sleep_ms(duration_ms(20));
		__atomic_store_n(&generation, CHANGING, __ATOMIC_SEQ_CST);
		map_at(place, i % 2 ? file : other);
		calls_after = 0;
		__atomic_store_n(&generation, i + 1, __ATOMIC_SEQ_CST);
		while (calls_after < 20)
			sched_yield();
	}
	stop = 1;
	pthread_join(thread, NULL);
}

/* The same with what happens to the page or the file, and the value for each generation. */
static int (*right_value)(int generation);

static void *caller_of_right_value(void *argument)
{
	while (!stop) {
		int before = generation, value = call(), after = generation;

		now->rounds++;
		if (before == after && before < CHANGING) {
			now->wrong += value != right_value(before);
			calls_after++;
		}
	}
	return NULL;
}

static void while_another_runs(void (*change)(int generation), int (*value)(int generation))
{
	pthread_t thread;

	begin();
	right_value = value;
	if (pthread_create(&thread, NULL, caller_of_right_value, NULL))
		_exit(26);
	for (int i = 1; i <= 200; i++) {
		sleep_ms(duration_ms(10));
		__atomic_store_n(&generation, CHANGING, __ATOMIC_SEQ_CST);
		change(i);
		calls_after = 0;
		__atomic_store_n(&generation, i, __ATOMIC_SEQ_CST);
		while (calls_after < 20)
			sched_yield();
	}
	stop = 1;
	pthread_join(thread, NULL);
	/* Where it was is a matter of chance. */
	now->address = now->rip = 0;
}

static int always_1(int generation)
{
	return 1;
}

static int none_if_odd(int generation)
{
	return generation % 2 ? -1 : 1;
}

static int its_number(int generation)
{
	return generation ? generation : 1;
}

static void protect(int generation)
{
	mprotect(place, PAGE, generation % 2 ? PROT_NONE : PROT_READ | PROT_EXEC);
}

static void dontneed(int generation)
{
	madvise(place, PAGE, MADV_DONTNEED);
}

static void write_file(int generation)
{
	int fd = open(now->name, O_RDWR);

	write_value(fd, generation);
	close(fd);
}

static void thread_protect_side(void *argument)
{
	while_another_runs(protect, none_if_odd);
}

static void thread_dontneed_side(void *argument)
{
	while_another_runs(dontneed, always_1);
}

static void thread_write_side(void *argument)
{
	while_another_runs(write_file, its_number);
}

static void *caller_until_gone(void *argument)
{
	while (call() == 1)
		now->rounds++;
	return NULL;
}

static void thread_unmap_side(void *argument)
{
	pthread_t thread;

	begin();
	if (pthread_create(&thread, NULL, caller_until_gone, NULL))
		_exit(26);
	sleep_ms(duration_ms(500));
	munmap(place, PAGE);
	pthread_join(thread, NULL);
	/* It was anywhere in the function; the native rip is a matter of chance, too. */
	now->values[0] = now->address == now->rip && now->rip < sizeof(code);
	now->address = now->rip = 0;
}

int main(void)
{
	static const struct {
		const char *name;
		void (*side)(void *argument);
		int faults;
	} tests[] = {
		{ "munmap", unmap_side, 1 },
		{ "mprotect", protect_side, 1 },
		{ "mremap", move_side, 1 },
		{ "MAP_FIXED over it", replace_side, 0 },
		{ "made writable and changed", anonymous_side, 0 },
		{ "MADV_DONTNEED", dontneed_side, 0 },
		{ "file truncated", truncate_side, 1 },
		{ "file written", write_side, 0 },
		{ "file written through a shared mapping", alias_side, 0 },
		{ "file written by another process", other_process_side, 0 },
		{ "unmapped in a child", fork_side, 0 },
		{ "replaced while another thread runs it", thread_replace_side, 0 },
		{ "unmapped while another thread runs it", thread_unmap_side, 1 },
		{ "protected while another thread runs it", thread_protect_side, 1 },
		{ "MADV_DONTNEED while another thread runs it", thread_dontneed_side, 0 },
		{ "file written while another thread runs it", thread_write_side, 0 },
	};
	struct result *results = shared(2 * sizeof(*results));

	test_begin();
	sides_begin();
	for (unsigned int i = 0; i < ARRAY_SIZE(tests); i++) {
		struct result *native = &results[NATIVE], *hot = &results[HOT];
		int same;

		memset(results, 0, 2 * sizeof(*results));
		for_each_side(side) {
			int status;

			now = &results[side];
			status = side_run(side, tests[i].side, NULL);
			ok(child_ok(status) && now->hot && !now->wrong && !now->signal == !tests[i].faults,
			   "%s: %s (%ld rounds, %ld wrong, signal %d, status %#x%s)", side_name(side),
			   tests[i].name, now->rounds, now->wrong, now->signal, status,
			   now->hot ? "" : ", not hot");
			unlink(now->name);
		}
		same = native->signal == hot->signal && native->code == hot->code &&
		       native->address == hot->address && native->rip == hot->rip &&
		       !memcmp(native->values, hot->values, sizeof(hot->values));
		if (!same) {
			note("native: signal %d code %d address +%#lx rip +%#lx", native->signal, native->code,
			     native->address, native->rip);
			note("hot:    signal %d code %d address +%#lx rip +%#lx", hot->signal, hot->code,
			     hot->address, hot->rip);
			for (int v = 0; v < 8; v++)
				if (native->values[v] != hot->values[v])
					note("call %d: native %d, hot %d", v, native->values[v], hot->values[v]);
		}
		ok(same, "%s: both sides saw the same", tests[i].name);
	}
	sides_end();
	return test_end();
}
