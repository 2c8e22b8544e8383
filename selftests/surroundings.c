// SPDX-License-Identifier: GPL-2.0
/*
 * surroundings: what a hot program does to its surroundings: namespaces, another personality,
 * code that comes and goes with dlopen(), 32-bit calls, the vsyscall page, signals taken by
 * waiting for them, timers, locks left by dying threads, a setuid program. Each has the native
 * outcome, and the program is hot before and after.
 */
#include <dlfcn.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "ub_test.h"

#define ROUNDS 300
#define MOST_RESULTS 24

struct result {
	int hot;		/* it chained before and after */
	int count;
	long values[MOST_RESULTS];	/* to be equal on both sides */
};

static struct result *results, *now;

static void say(long value)
{
	if (now->count < MOST_RESULTS)
		now->values[now->count++] = value;
}

static void rounds(void *argument)
{
	long wrong = 0, parent = getppid();

	for (int i = 0; i < ROUNDS; i++)
		wrong += getppid() != parent;
	if (wrong)
		say(-wrong);
}

/* Runs @function on both sides; the sides' results must be the same. */
static void compare(const char *name, void (*function)(void *))
{
	int good = 1;

	memset(results, 0, 2 * sizeof(*results));
	for_each_side(side) {
		now = &results[side];
		good &= child_ok(side_run(side, function, NULL));
	}
	if (results[NATIVE].count != results[HOT].count)
		good = 0;
	for (int i = 0; i < results[NATIVE].count; i++)
		if (results[NATIVE].values[i] != results[HOT].values[i]) {
			note("%s: value %d: native %ld, hot %ld", name, i, results[NATIVE].values[i], results[HOT].values[i]);
			good = 0;
		}
	if (!results[HOT].hot)
		note("%s: not hot", name);
	ok(good && results[HOT].hot, "%s", name);
}

static void begin_hot(void)
{
	now->hot = heat(rounds, NULL);
}

static void end_hot(void)
{
	now->hot &= heat(rounds, NULL);
}

/* Everything of one thread's making. */

static void persona(void *argument)
{
	begin_hot();
	say(personality(ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC) < 0);
	rounds(NULL);
	say(personality(0xffffffff) & (ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC));
	end_hot();
}

static long int80(long number)
{
	long result;

	asm volatile("int $0x80" : "=a" (result) : "a" (number) : "memory", "r8", "r9", "r10", "r11");
	return result;
}

static void old_calls(void *argument)
{
	begin_hot();
	for (int i = 0; i < 50; i++) {
		say(int80(64) == getppid());	/* getppid of 32 bits */
		if (now->count > 3)
			now->count--;
		rounds(NULL);
	}
	say(int80(100000));
	end_hot();
}

static void vsyscall(void *argument)
{
	long (*time_page)(long *) = (long (*)(long *))0xffffffffff600400;
	char text[8192] = "";

	begin_hot();
	file_read("/proc/self/maps", text, sizeof(text));
	say(strstr(text, "[vsyscall]") != NULL);
	for (int i = 0; strstr(text, "[vsyscall]") && i < 50; i++) {
		long seconds = time_page(NULL);

		if (labs(seconds - time(NULL)) > 1)
			say(seconds);
		rounds(NULL);
	}
	end_hot();
}

static void namespaces(void *argument)
{
	int status = -1;
	pid_t pid;

	begin_hot();
	say(unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID));
	rounds(NULL);
	pid = fork();
	if (!pid) {
		struct result *own = now;

		/* Of a new PID namespace the first, without a parent in it. */
		for (int i = 0; i < ROUNDS; i++)
			if (getppid() != 0 || getpid() != 1)
				_exit(1);
		own->hot &= heat(rounds, NULL);
		_exit(0);
	}
	say(waitpid(pid, &status, 0) == pid && !status);
	end_hot();
}

static void process_settings(void *argument)
{
	begin_hot();
	say(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	say(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	rounds(NULL);
	say(prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0));
	say(prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0));
	say(prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_DISABLE, 0, 0));
	rounds(NULL);
	say(prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, 0, 0));
	say(prctl(PR_SET_NAME, "surrounded", 0, 0, 0));
	say(prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0));
	end_hot();
}

/* Code that comes and goes: the same library at the same place, and another one there. */
static void libraries(void *argument)
{
	static const char *const names[] = { "libm.so.6", "libresolv.so.2", "libm.so.6", "libutil.so.1" };

	begin_hot();
	for (unsigned int i = 0; i < 40; i++) {
		void *library = dlopen(names[i % ARRAY_SIZE(names)], RTLD_NOW | RTLD_LOCAL);

		if (i % ARRAY_SIZE(names) % 2 == 0) {
			double (*root)(double) = library ? (double (*)(double))dlsym(library, "cbrt") : NULL;
			double sum = 0;

			for (int n = 0; root && n < 50; n++) {
				sum += root(n * n * n);
				getppid();
			}
			if ((long)(sum + 0.5) != 1225)
				say((long)(sum * 1000));
		}
		if (library)
			dlclose(library);
		else
			say(i);
	}
	end_hot();
}

/* Signals that are waited for, and timers. */

static void taken_signals(void *argument)
{
	struct timespec soon = { 0, 0 };
	struct signalfd_siginfo info;
	siginfo_t taken;
	sigset_t set;
	int fd;

	begin_hot();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	for (int i = 0; i < ROUNDS; i++) {
		union sigval value = { .sival_int = i };
		int got = sigtimedwait(&set, &taken, &soon);

		if (got != -1 || errno != EAGAIN)
			say(-1);
		if (kill(getpid(), SIGUSR1) || sigwait(&set, &got) || got != SIGUSR1)
			say(-2);
		if (sigqueue(getpid(), SIGRTMIN, value) || sigwaitinfo(&set, &taken) != SIGRTMIN ||
		    taken.si_value.sival_int != i)
			say(-3);
		if (sigqueue(getpid(), SIGRTMIN, value) || read(fd, &info, sizeof(info)) != sizeof(info) ||
		    info.ssi_int != i || read(fd, &info, sizeof(info)) != -1 || errno != EAGAIN)
			say(-4);
	}
	end_hot();
}

static volatile sig_atomic_t ticks;

static void tick(int signal)
{
	ticks++;
}

static void timers(void *argument)
{
	struct itimerspec each = { { 0, 2000000 }, { 0, 2000000 } }, off = { { 0, 0 }, { 0, 0 } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct sigaction action = { .sa_handler = tick, .sa_flags = SA_RESTART };
	uint64_t until, expired = 0;
	timer_t timer;
	int fd;

	begin_hot();
	sigaction(SIGALRM, &action, NULL);
	say(timer_create(CLOCK_MONOTONIC, &event, &timer));
	say(timer_settime(timer, 0, &each, NULL));
	for (until = now_ns() + 5000000000u; ticks < 20 && now_ns() < until;)
		rounds(NULL);
	say(ticks >= 20);
	say(timer_delete(timer));
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	say(timerfd_settime(fd, 0, &each, NULL));
	for (int i = 0; i < 10; i++) {
		uint64_t times = 0;

		rounds(NULL);
		if (read(fd, &times, sizeof(times)) != sizeof(times))
			say(-1);
		expired += times;
	}
	say(expired >= 10);
	say(timerfd_settime(fd, 0, &off, NULL));
	end_hot();
}

/* Threads */

static pthread_mutex_t robust;
static volatile int stop;

static void *dies_with_lock(void *argument)
{
	pthread_mutex_lock(&robust);
	for (int i = 0; i < ROUNDS; i++)
		getppid();
	return NULL;
}

static void *until_stopped(void *argument)
{
	while (!stop) {
		getppid();
		pthread_testcancel();
	}
	return NULL;
}

static void locks_and_cancels(void *argument)
{
	pthread_mutexattr_t attributes;
	pthread_t thread;
	void *value;

	begin_hot();
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust, &attributes);
	for (int i = 0; i < 3; i++) {
		pthread_create(&thread, NULL, dies_with_lock, NULL);
		pthread_join(thread, NULL);
		say(pthread_mutex_lock(&robust));
		say(pthread_mutex_consistent(&robust));
		say(pthread_mutex_unlock(&robust));
		pthread_create(&thread, NULL, until_stopped, NULL);
		sleep_ms(20);
		say(pthread_cancel(thread));
		pthread_join(thread, &value);
		say(value == PTHREAD_CANCELED);
	}
	end_hot();
}

static void barriers(void *argument)
{
	pthread_t threads[3];

	begin_hot();
	say(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_create(&threads[i], NULL, until_stopped, NULL);
	for (int i = 0; i < 100; i++)
		if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
			say(-1);
	say(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0));
	stop = 1;
	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	end_hot();
}

/* A setuid program gets its rights, and is enabled like what ran before. */

static void setuid_exec(void *argument)
{
	char line[100] = "";
	int fds[2], status = -1;
	pid_t pid;

	begin_hot();
	if (pipe(fds))
		_exit(2);
	pid = fork();
	if (!pid) {
		dup2(fds[1], 1);
		if (setgid(65534) || setuid(65534))
			_exit(3);
		rounds(NULL);
		execl("/tmp/ubtest.id", "id", "-u", NULL);
		_exit(4);
	}
	close(fds[1]);
	if (read(fds[0], line, sizeof(line) - 1) < 0)
		say(-1);
	waitpid(pid, &status, 0);
	say(status);
	say(strtol(line, NULL, 10));
	end_hot();
}

static void test_setuid(void)
{
	if (system("cp /usr/bin/id /tmp/ubtest.id && chmod 4755 /tmp/ubtest.id")) {
		skip("/tmp cannot hold a program", "a setuid program");
		return;
	}
	compare("a setuid program", setuid_exec);
	unlink("/tmp/ubtest.id");
}

int main(void)
{
	test_begin();
	results = shared(2 * sizeof(*results));
	sides_begin();
	compare("another personality", persona);
	compare("32-bit system calls in between", old_calls);
	compare("the vsyscall page", vsyscall);
	compare("new namespaces", namespaces);
	compare("prctl: privileges, speculation, core scheduling", process_settings);
	compare("libraries that come and go", libraries);
	compare("signals taken by sigwait, sigtimedwait and signalfd", taken_signals);
	compare("POSIX timers and timerfd", timers);
	compare("robust mutexes and cancellation", locks_and_cancels);
	compare("membarrier", barriers);
	test_setuid();
	sides_end();
	return test_end();
}
