// SPDX-License-Identifier: GPL-2.0
/*
 * signals: handlers that interrupt chains and gaps. Registers and flags are the
 * program's own before, in and after the handler; a signal a thread sends itself
 * arrives before the sending call returns; EINTR and SA_RESTART are as natively;
 * stopping and continuing changes nothing.
 */
#include <pthread.h>
#include <sys/time.h>

#include "ub_regs.h"

UB_RIG(nothing, "");
UB_RIG(inner_loop, "mov $2000, %ebx\n 1: lea -1(%rbx), %rbx\n test %rbx, %rbx\n jnz 1b\n"
		   "mov $0x7fffffff, %ebx\n add $1, %ebx\n mov rig_in+8(%rip), %rbx");

struct result {
	int hot;
	long rounds, signals, wrong, in_gap;
	int values[8];
};

static struct result *now;
static volatile long handled;
static volatile double handler_double = 1.0;

/* Uses what a handler may use: memory, vector registers, system calls. */
static void alarm_handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uint64_t rip = uc->uc_mcontext.gregs[REG_RIP];
	int saved = errno;

	handled++;
	handler_double = handler_double * 1.000001 + handled;
	if (rip >= (uint64_t)inner_loop_at && rip < (uint64_t)inner_loop_done) {
		/* The loop's registers but rbx are those it began with. */
		static const int greg[REGISTERS] = { REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI,
			REG_RDI, REG_RBP, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14,
			REG_R15 };

		now->in_gap++;
		for (int i = 0; i < REGISTERS; i++)
			if (i != RBX && (uint64_t)uc->uc_mcontext.gregs[greg[i]] != rig_in[i])
				now->wrong++;
	}
	if (rip >> 47)
		now->wrong++;
	syscall(SYS_getuid);
	errno = saved;
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	sigaction(signal, &action, NULL);
}

static void timer(unsigned int us)
{
	struct itimerval t = { { 0, us }, { 0, us } };

	setitimer(ITIMER_REAL, &t, NULL);
}

/* Return: 1 when the registers and flags after a round are those that were loaded. */
static int round_right(void (*rig)(void))
{
	rig();
	for (int i = 0; i < REGISTERS; i++)
		if (rig_out[i] != rig_in[i])
			return 0;
	return rig_flags[0] == 0 && rig_flags[1] == 1 && rig_flags[2] == 1 && rig_flags[3] == 0 &&
	       rig_rax == (uint64_t)getppid();
}

static void rounds_of(void *rig)
{
	for (int i = 0; i < 300; i++) {
		now->rounds++;
		now->wrong += !round_right(rig);
	}
}

static void under_alarm(void *rig)
{
	uint64_t until;

	rig_patterns();
	handle(SIGALRM, alarm_handler, SA_RESTART);
	now->hot = heat(rounds_of, rig);
	timer(1000);
	until = now_ns() + duration_ms(2000) * 1000000ul;
	while (now_ns() < until)
		rounds_of(rig);
	timer(0);
	now->signals = handled;
}

static void nothing_side(void *argument)
{
	under_alarm(nothing);
}

static void inner_side(void *argument)
{
	under_alarm(inner_loop);
}

/* A long sum between two system calls: handlers return into its middle. */
static __attribute__((noinline)) uint64_t sum_of(unsigned long n)
{
	uint64_t sum = 0;

	for (unsigned long i = 0; i < n; i++) {
		sum += i ^ (sum >> 7);
		asm volatile("" : "+r"(sum));
	}
	return sum;
}

static uint64_t expected;

static void sums(void *argument)
{
	for (int i = 0; i < 30; i++) {
		now->rounds++;
		syscall(SYS_getppid);
		now->wrong += sum_of(20000) != expected;
	}
}

static void sum_side(void *argument)
{
	uint64_t until = now_ns() + duration_ms(2000) * 1000000ul;

	expected = sum_of(20000);
	handle(SIGALRM, alarm_handler, SA_RESTART);
	timer(1000);
	while (now_ns() < until)
		sums(NULL);
	timer(0);
	now->signals = handled;
	now->hot = 1;
}

/* A signal to oneself arrives before kill() returns. */
static void kills(void *argument)
{
	for (int i = 0; i < 300; i++) {
		long before = handled;

		now->rounds++;
		syscall(SYS_getppid);
		syscall(SYS_getppid);
		syscall(SYS_getppid);
		kill(getpid(), SIGUSR1);
		now->wrong += handled != before + 1;
	}
}

static void self_side(void *argument)
{
	handle(SIGUSR1, alarm_handler, 0);
	heat_to(kills, NULL, 30);
	now->hot = 1;
	kills(NULL);
	now->signals = handled;
}

/* EINTR and SA_RESTART of a read that follows chained ones */
static int pipe_fd[2];

static void write_handler(int signal, siginfo_t *info, void *context)
{
	handled++;
	if (write(pipe_fd[1], "h", 1) != 1)
		_exit(9);
}

static void reads(void *argument)
{
	char c;

	for (int i = 0; i < 300; i++)
		if (write(pipe_fd[1], "x", 1) != 1 || read(pipe_fd[0], &c, 1) != 1)
			now->wrong++;
}

static void read_side(void *argument)
{
	struct timespec pause = { 0, 500000000 };
	char c = 0;

	if (pipe(pipe_fd))
		_exit(8);
	now->hot = heat(reads, NULL);
	for (int restart = 0; restart < 2; restart++) {
		struct itimerval once = { { 0, 0 }, { 0, 150000 } };

		handle(SIGALRM, write_handler, restart ? SA_RESTART : 0);
		reads(NULL);
		setitimer(ITIMER_REAL, &once, NULL);
		now->values[restart * 3] = read(pipe_fd[0], &c, 1);
		now->values[restart * 3 + 1] = now->values[restart * 3] < 0 ? errno : c;
		if (!restart && read(pipe_fd[0], &c, 1) != 1)
			now->wrong++;
		once.it_value.tv_usec = 150000;
		reads(NULL);
		setitimer(ITIMER_REAL, &once, NULL);
		now->values[restart * 3 + 2] = nanosleep(&pause, NULL) ? errno : 0;
		if (read(pipe_fd[0], &c, 1) != 1)
			now->wrong++;
	}
	now->signals = handled;
}

/* SIGSTOP and SIGCONT from outside */
static void endless(void *argument)
{
	rig_patterns();
	now->hot = heat(rounds_of, nothing);
	for (;;)
		rounds_of(nothing);
}

static void stops(enum side side)
{
	pid_t pid = side_start(side, endless, NULL);
	int stopped = 0, ran = 0, status;

	while (!now->hot && now->rounds < 100000000)
		sleep_ms(10);
	for (int i = 0; i < 20; i++) {
		long before;

		kill(pid, SIGSTOP);
		stopped += waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status);
		before = now->rounds;
		sleep_ms(10);
		stopped -= now->rounds != before;
		kill(pid, SIGCONT);
		for (int wait = 0; now->rounds == before && wait < 2000; wait++)
			sleep_ms(1);
		ran += now->rounds != before;
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ok(stopped == 20 && ran == 20 && !now->wrong, "%s: stops and continues 20 times (%d, %d, %ld wrong)",
	   side_name(side), stopped, ran, now->wrong);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*side)(void *argument);
	} tests[] = {
		{ "registers under SIGALRM", nothing_side },
		{ "registers in a loop of a gap under SIGALRM", inner_side },
		{ "handlers return into the middle of a sum", sum_side },
		{ "a signal to oneself", self_side },
		{ "EINTR and SA_RESTART", read_side },
	};
	struct result *results = shared(2 * sizeof(*results));

	test_begin();
	sides_begin();
	for (unsigned int i = 0; i < ARRAY_SIZE(tests); i++) {
		memset(results, 0, 2 * sizeof(*results));
		for_each_side(side) {
			int status;

			now = &results[side];
			status = side_run(side, tests[i].side, NULL);
			ok(child_ok(status) && now->hot && !now->wrong && now->signals,
			   "%s: %s (%ld rounds, %ld signals, %ld in the loop, %ld wrong%s)",
			   side_name(side), tests[i].name, now->rounds, now->signals, now->in_gap,
			   now->wrong, now->hot ? "" : ", not hot");
		}
		for (int v = 0; v < 6; v++)
			if (results[NATIVE].values[v] != results[HOT].values[v])
				note("value %d: native %d, hot %d", v, results[NATIVE].values[v], results[HOT].values[v]);
		ok(!memcmp(results[NATIVE].values, results[HOT].values, sizeof(now->values)),
		   "%s: both sides saw the same", tests[i].name);
	}
	ok(results[HOT].values[0] == -1 && results[HOT].values[1] == EINTR && results[HOT].values[2] == EINTR &&
	   results[HOT].values[3] == 1 && results[HOT].values[4] == 'h' && results[HOT].values[5] == EINTR,
	   "read gives EINTR, restarts with SA_RESTART; nanosleep gives EINTR");
	for_each_side(side) {
		memset(now = &results[side], 0, sizeof(*now));
		stops(side);
	}
	sides_end();
	return test_end();
}
