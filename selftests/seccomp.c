// SPDX-License-Identifier: GPL-2.0
/*
 * seccomp: filters hold for chained system calls exactly as for native ones.
 * A denied call gives its errno each time, by number and by argument; TRAP shows
 * the right number and address; KILL kills, the process or the thread; a supervisor's
 * answer is the result; TRACE without a tracer is ENOSYS; a filter put in place while a loop
 * is hot, by the thread itself or by another one, holds from that moment on.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#include "ub_regs.h"

struct result {
	int hot, killed;
	long rounds, wrong, denied;
	int number, code;
	uint64_t trap_address, trap_arch;
	greg_t registers[NGREG];
};

static struct result *now;

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)

/* getuid: EXDEV. lseek of fd -2: EDOM. getgid: trap. getegid: kill the process; everything else is
 * allowed. The first argument is 64 bits: the low half decides. */
static struct sock_filter by_number[] = {
	LOAD(nr),
	EQUAL(__NR_getuid, 5, 0),
	EQUAL(__NR_getgid, 5, 0),
	EQUAL(__NR_getegid, 5, 0),
	EQUAL(__NR_lseek, 5, 0),
	EQUAL(__NR_geteuid, 7, 0),
	RETURN(SECCOMP_RET_ALLOW),
	RETURN(SECCOMP_RET_ERRNO | EXDEV),
	RETURN(SECCOMP_RET_TRAP | 77),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	LOAD(args[0]),
	EQUAL((unsigned int)-2, 0, 1),
	RETURN(SECCOMP_RET_ERRNO | EDOM),
	RETURN(SECCOMP_RET_ALLOW),
};

static int filter(struct sock_filter *instructions, unsigned int count, unsigned int flags)
{
	struct sock_fprog program = { count, instructions };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static int filter_by_number(unsigned int flags)
{
	return filter(by_number, ARRAY_SIZE(by_number), flags);
}

/* Allowed and denied calls in turn. */
static void mixed(void *argument)
{
	for (int i = 0; i < 150; i++) {
		now->rounds++;
		now->wrong += syscall(SYS_getppid) != getppid();
		if (syscall(SYS_getuid) != -1 || errno != EXDEV)
			now->wrong++;
		else
			now->denied++;
		if (syscall(SYS_lseek, -2, 0, SEEK_SET) != -1 || errno != EDOM)
			now->wrong++;
		if (syscall(SYS_lseek, -1, 0, SEEK_SET) != -1 || errno != EBADF)
			now->wrong++;
	}
}

static void errno_side(void *argument)
{
	if (filter_by_number(0))
		_exit(2);
	now->hot = heat(mixed, NULL);
	for (int i = 0; i < 20; i++)
		mixed(NULL);
}

/* A filter while the loop is hot */

static void allowed(void *argument)
{
	for (int i = 0; i < 500; i++)
		now->wrong += syscall(SYS_getuid) != 0;
}

static void late_side(void *argument)
{
	now->hot = heat(allowed, NULL);
	allowed(NULL);
	if (filter_by_number(0))
		_exit(2);
	for (int i = 0; i < 2000; i++) {
		now->rounds++;
		if (syscall(SYS_getuid) != -1 || errno != EXDEV)
			now->wrong++;
		else
			now->denied++;
	}
}

static volatile int filtered;

static void *looping_thread(void *argument)
{
	for (long after = 0; after < 2000;) {
		int seen = filtered;
		long result = syscall(SYS_getuid);

		now->rounds++;
		if (seen) {
			after++;
			if (result != -1 || errno != EXDEV)
				now->wrong++;
			else
				now->denied++;
		}
	}
	return NULL;
}

static void tsync_side(void *argument)
{
	pthread_t thread;

	now->hot = heat(allowed, NULL);
	if (pthread_create(&thread, NULL, looping_thread, NULL))
		_exit(3);
	sleep_ms(duration_ms(500));
	if (filter_by_number(SECCOMP_FILTER_FLAG_TSYNC))
		_exit(2);
	filtered = 1;
	pthread_join(thread, NULL);
}

/* TRAP: the signal's fields and the registers, from a call between chained ones */

UB_RIG(nothing, "");
UB_RIG(trapping, "mov $104, %eax\n syscall\n.globl trapping_return\n trapping_return:"); /* getgid */
extern const char trapping_return[];

static void trap_handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	now->denied++;
	now->number = info->si_syscall;
	now->code = info->si_code * 1000 + info->si_errno;
	now->trap_address = (uint64_t)info->si_call_addr;
	now->trap_arch = info->si_arch;
	for (int i = 0; i < NGREG; i++)
		now->registers[i] = uc->uc_mcontext.gregs[i];
	uc->uc_mcontext.gregs[REG_RAX] = 4242;
}

static void rigs(void *argument)
{
	for (int i = 0; i < 300; i++) {
		nothing();
		now->wrong += rig_out[RAX] != rig_pattern(RAX);
	}
}

static void trap_side(void *argument)
{
	struct sigaction action = { .sa_sigaction = trap_handler, .sa_flags = SA_SIGINFO };

	sigaction(SIGSYS, &action, NULL);
	rig_patterns();
	if (filter_by_number(0))
		_exit(2);
	now->hot = heat(rigs, NULL);
	for (int i = 0; i < 200; i++) {
		now->rounds++;
		nothing();
		nothing();
		trapping();
		now->wrong += rig_out[RAX] != 4242 || rig_out[RBX] != rig_pattern(RBX);
	}
	if (now->trap_address != (uint64_t)trapping_return ||
	    (uint64_t)now->registers[REG_RIP] != (uint64_t)trapping_return)
		now->wrong++;
}

static void kill_side(void *argument)
{
	if (filter_by_number(0))
		_exit(2);
	now->hot = heat(mixed, NULL);
	now->denied = 1;
	now->rounds = 1;
	syscall(SYS_getppid);
	syscall(SYS_getegid);
	now->wrong++;
}

/* One call has another verdict */
static long filter_getgid(unsigned int verdict, unsigned int flags)
{
	struct sock_filter instructions[] = {
		LOAD(nr),
		EQUAL(__NR_getgid, 0, 1),
		RETURN(verdict),
		RETURN(SECCOMP_RET_ALLOW),
	};

	return filter(instructions, ARRAY_SIZE(instructions), flags);
}

#define NOTIFIED 300
static volatile int listener = -1;

/* Answers, as a thread that is not filtered itself. */
static void *supervise(void *argument)
{
	while (listener < 0)
		sched_yield();
	for (int i = 0; i < NOTIFIED; i++) {
		struct seccomp_notif request = { 0 };
		struct seccomp_notif_resp answer = { 0 };

		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request))
			_exit(4);
		now->wrong += request.data.nr != __NR_getgid || request.data.instruction_pointer >> 47;
		answer.id = request.id;
		answer.val = i % 3 ? 7000 + i : 0;
		answer.error = i % 3 ? 0 : -EXDEV;
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer))
			_exit(5);
	}
	return NULL;
}

static void notify_side(void *argument)
{
	pthread_t thread;

	now->hot = heat(allowed, NULL);
	if (pthread_create(&thread, NULL, supervise, NULL))
		_exit(3);
	listener = filter_getgid(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	if (listener < 0)
		_exit(2);
	allowed(NULL);
	for (int i = 0; i < NOTIFIED; i++) {
		long result;

		now->rounds++;
		now->wrong += syscall(SYS_getuid) != 0;
		now->wrong += syscall(SYS_getppid) != getppid();
		result = syscall(SYS_getgid);
		if (i % 3 ? result == 7000 + i : result == -1 && errno == EXDEV)
			now->denied++;
		else
			now->wrong++;
	}
	pthread_join(thread, NULL);
}

static void no_tracer_side(void *argument)
{
	now->hot = heat(allowed, NULL);
	if (filter_getgid(SECCOMP_RET_TRACE | 5, 0))
		_exit(2);
	allowed(NULL);
	for (int i = 0; i < 1000; i++) {
		now->rounds++;
		now->wrong += syscall(SYS_getuid) != 0;
		if (syscall(SYS_getgid) == -1 && errno == ENOSYS)
			now->denied++;
		else
			now->wrong++;
	}
}

static void *killed_thread(void *argument)
{
	if (filter_getgid(SECCOMP_RET_KILL_THREAD, 0))
		_exit(2);
	allowed(NULL);
	now->denied++;
	syscall(SYS_getgid);
	now->wrong++;
	return NULL;
}

static void kill_thread_side(void *argument)
{
	now->hot = heat(allowed, NULL);
	for (int i = 0; i < 20; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, killed_thread, NULL))
			_exit(3);
		allowed(NULL);
		pthread_join(thread, NULL);
		now->rounds++;
	}
	now->wrong += now->denied != 20;
}

/* Strict mode: write still works, the first other call kills. */
static void strict_side(void *argument)
{
	now->hot = heat(allowed, NULL);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
		_exit(2);
	now->denied = 1;
	now->rounds = 1;
	syscall(SYS_write, -1, "", 0);
	syscall(SYS_getuid);
	now->wrong++;
}

int main(void)
{
	static const struct {
		const char *name;
		void (*side)(void *argument);
		int signal;		/* that ends it */
	} tests[] = {
		{ "calls denied with an errno", errno_side, 0 },
		{ "a filter while hot", late_side, 0 },
		{ "a filter by another thread while hot", tsync_side, 0 },
		{ "trapped calls", trap_side, 0 },
		{ "a killing filter", kill_side, SIGSYS },
		{ "calls answered by a supervisor", notify_side, 0 },
		{ "a tracing filter without a tracer", no_tracer_side, 0 },
		{ "a filter that kills the thread", kill_thread_side, 0 },
		{ "strict mode", strict_side, SIGKILL },
	};
	struct result *results = shared(2 * sizeof(*results));

	test_begin();
	sides_begin();
	for (unsigned int i = 0; i < ARRAY_SIZE(tests); i++) {
		memset(results, 0, 2 * sizeof(*results));
		for_each_side(side) {
			int status, right;

			now = &results[side];
			status = side_run(side, tests[i].side, NULL);
			if (tests[i].signal)
				right = status != -1 && WIFSIGNALED(status) &&
					WTERMSIG(status) == tests[i].signal;
			else
				right = child_ok(status);
			ok(right && now->hot && !now->wrong && now->denied, "%s: %s (%ld rounds, %ld denied, "
			   "%ld wrong, status %#x%s)", side_name(side), tests[i].name, now->rounds,
			   now->denied, now->wrong, status, now->hot ? "" : ", not hot");
		}
		if (tests[i].side == trap_side) {
			results[NATIVE].hot = results[HOT].hot;
			for (int r = 0; r < NGREG; r++)
				if (results[NATIVE].registers[r] != results[HOT].registers[r])
					note("greg %d: native %#llx, hot %#llx", r, results[NATIVE].registers[r],
					     results[HOT].registers[r]);
			ok(results[HOT].number == __NR_getgid && results[HOT].trap_arch == AUDIT_ARCH_X86_64 &&
			   results[HOT].code == 1077 && !memcmp(results[NATIVE].registers,
			   results[HOT].registers, sizeof(now->registers)),
			   "trapped calls: the signal and its registers are the same (number %d, code %d)",
			   results[HOT].number, results[HOT].code);
		}
	}
	sides_end();
	return test_end();
}
