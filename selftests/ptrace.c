// SPDX-License-Identifier: GPL-2.0
/*
 * ptrace: a debugger may attach to a hot loop at any time and sees what it would
 * see natively: registers, every single step, every system call, breakpoints it
 * pokes into the text and hardware breakpoints; and when it detaches the program
 * goes on rightly, with the text as poked.
 */
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include "ub_test.h"

struct seen {
	volatile uint64_t rounds, value;
};

/* Counts in (rdi), stores an immediate that a debugger pokes to 8(rdi). */
void traced(struct seen *seen);
extern const char traced_loop[], traced_spot[], traced_value[], traced_end[];
asm(".pushsection .text\n.globl traced, traced_loop, traced_spot, traced_value, traced_end\n"
    ".balign 4096\n"
    "traced:\n mov %rdi, %rbx\n"
    "mov $0x1111111122222222, %rbp\n mov $0x3333333344444444, %r12\n"
    "mov $0x5555555566666666, %r13\n mov $0x1234567812345678, %r14\n mov $0x2345678923456789, %r15\n"
    "traced_loop:\n"
    "mov $110, %eax\n syscall\n"
    "traced_spot:\n nop\n"
    "mov $102, %eax\n syscall\n"
    "addq $1, (%rbx)\n"
    "traced_value:\n mov $1000, %eax\n"
    "mov %rax, 8(%rbx)\n"
    "jmp traced_loop\n"
    "traced_end:\n .balign 4096\n"
    ".popsection");

static struct seen *seen;
static int wrong;

static void traced_side(void *argument)
{
	traced(seen);
}

#define CHECK(condition)							\
	do {									\
		if (!(condition)) {						\
			wrong++;						\
			note("line %d: %s does not hold", __LINE__, #condition);	\
		}								\
	} while (0)

static int wait_stop(pid_t pid)
{
	for (int i = 0; i < 20000; i++) {
		int status, got = waitpid(pid, &status, WNOHANG | __WALL);

		if (got == pid)
			return WIFSTOPPED(status) ? status >> 8 : -1;
		usleep(500);
	}
	note("no stop within 10 s");
	return -1;
}

static void advances(const char *when)
{
	uint64_t before = seen->rounds;

	for (int i = 0; i < 5000 && seen->rounds < before + 100; i++)
		usleep(1000);
	if (seen->rounds < before + 100) {
		wrong++;
		note("no progress %s", when);
	}
}

static void attach(pid_t pid, int seize)
{
	if (seize) {
		CHECK(!ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD));
		CHECK(!ptrace(PTRACE_INTERRUPT, pid, 0, 0));
		CHECK((wait_stop(pid) & 0xff) == SIGTRAP);
	} else {
		CHECK(!ptrace(PTRACE_ATTACH, pid, 0, 0));
		CHECK(wait_stop(pid) == SIGSTOP);
		CHECK(!ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
	}
}

static struct user_regs_struct registers(pid_t pid)
{
	struct user_regs_struct r;

	memset(&r, 0, sizeof(r));
	CHECK(!ptrace(PTRACE_GETREGS, pid, 0, &r));
	return r;
}

static int in_loop(uint64_t ip)
{
	return ip >= (uint64_t)traced_loop && ip < (uint64_t)traced_end;
}

static void look(pid_t pid)
{
	struct user_regs_struct r = registers(pid);

	CHECK(in_loop(r.rip));
	CHECK(r.rbx == (uint64_t)seen);
	CHECK(r.rbp == 0x1111111122222222 && r.r12 == 0x3333333344444444 && r.r13 == 0x5555555566666666);
	CHECK(r.r14 == 0x1234567812345678 && r.r15 == 0x2345678923456789);
	CHECK(r.rsp >> 40 == (uint64_t)&r >> 40);
	CHECK(!(r.rcx >> 47) && (r.r11 & ~0xcd5ul) == 0x202 && !(r.eflags & 0x100));
}

/* Eighteen steps are two rounds: each of the nine instructions comes after the one before. */
static void steps(pid_t pid)
{
	uint64_t ip[19];
	int start = -1;

	for (int i = 0; i < 19; i++) {
		CHECK(!ptrace(PTRACE_SINGLESTEP, pid, 0, 0));
		CHECK((wait_stop(pid) & 0xff) == SIGTRAP);
		ip[i] = registers(pid).rip;
		CHECK(in_loop(ip[i]));
		if (ip[i] == (uint64_t)traced_loop && start < 0)
			start = i;
	}
	CHECK(start >= 0 && start < 9);
	for (int i = 0; i < 10; i++)
		CHECK(ip[i] == ip[i + 9]);
	for (int i = start; start >= 0 && i < start + 8; i++)
		CHECK(ip[i + 1] > ip[i]);
}

static void system_calls(pid_t pid)
{
	struct user_regs_struct r;
	uint64_t number = 0;

	for (int i = 0; i < 40; i++) {
		CHECK(!ptrace(PTRACE_SYSCALL, pid, 0, 0));
		CHECK(wait_stop(pid) == (SIGTRAP | 0x80));
		r = registers(pid);
		/* The first stop may be an entry of either. */
		if (i > 0 && i % 2)
			CHECK(r.orig_rax == number && (number == 110 ? r.rax == (uint64_t)getpid() : r.rax == 0));
		else if (i > 0)
			CHECK(r.orig_rax == 212 - number && r.rax == -(uint64_t)ENOSYS);
		number = r.orig_rax;
		CHECK(number == 110 || number == 102);
		CHECK(r.rip == r.rcx && in_loop(r.rip));
		if (wrong > 20)
			return;
	}
}

static void breakpoint(pid_t pid)
{
	long word = ptrace(PTRACE_PEEKTEXT, pid, traced_spot, 0);
	struct user_regs_struct r;

	CHECK(!ptrace(PTRACE_POKETEXT, pid, traced_spot, (word & ~0xfful) | 0xcc));
	for (int i = 0; i < 5; i++) {
		CHECK(!ptrace(PTRACE_CONT, pid, 0, 0));
		CHECK((wait_stop(pid) & 0xff) == SIGTRAP);
		r = registers(pid);
		CHECK(r.rip == (uint64_t)traced_spot + 1);
		CHECK(r.rax == (uint64_t)getpid());
	}
	CHECK(!ptrace(PTRACE_POKETEXT, pid, traced_spot, word));
}

static void hardware_breakpoint(pid_t pid)
{
	struct user_regs_struct r;

	if (ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[0]), traced_spot) ||
	    ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[7]), 1)) {
		note("no hardware breakpoints here");
		return;
	}
	for (int i = 0; i < 5; i++) {
		CHECK(!ptrace(PTRACE_CONT, pid, 0, 0));
		CHECK((wait_stop(pid) & 0xff) == SIGTRAP);
		r = registers(pid);
		CHECK(r.rip == (uint64_t)traced_spot);
	}
	CHECK(!ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[7]), 0));
}

/* Writes the immediate of traced_value; the debugger has detached when the value shows. */
static void poke(pid_t pid, unsigned int value)
{
	long word = ptrace(PTRACE_PEEKTEXT, pid, traced_value, 0);
	uint64_t rounds;

	CHECK(!ptrace(PTRACE_POKETEXT, pid, traced_value, (word & ~0xffffffff00ul) | (uint64_t)value << 8));
	CHECK(!ptrace(PTRACE_DETACH, pid, 0, 0));
	rounds = seen->rounds;
	while (seen->rounds < rounds + 3 && !kill(pid, 0))
		usleep(100);
	for (int i = 0; i < 20; i++) {
		if (seen->value != value) {
			wrong++;
			note("stores %lu instead of %u after the poke", seen->value, value);
			break;
		}
		usleep(1000);
	}
}

static int chaining(enum side side)
{
	for (int i = 0; i < 300; i++) {
		long chained = side_stat(side, "chained"), syscalls = side_stat(side, "syscalls");

		if (side == NATIVE || !ub_present())
			return 1;
		sleep_ms(20);
		chained = side_stat(side, "chained") - chained;
		syscalls = side_stat(side, "syscalls") - syscalls;
		if (syscalls > 100 && chained * 10 > syscalls * 9)
			return 1;
	}
	return 0;
}

static void result(enum side side, const char *name)
{
	ok(!wrong, "%s: %s", side_name(side), name);
	wrong = 0;
}

static void test(enum side side)
{
	pid_t pid;
	struct user_regs_struct r;

	memset((void *)seen, 0, sizeof(*seen));
	pid = side_start(side, traced_side, NULL);
	advances("at first");
	ok(chaining(side), "%s: the loop runs hot", side_name(side));

	for (int i = 0; i < 100 && wrong < 10; i++) {
		attach(pid, i % 2);
		look(pid);
		CHECK(!ptrace(PTRACE_DETACH, pid, 0, 0));
		if (i % 10 == 0)
			advances("after a detach");
	}
	result(side, "100 times attached, looked, detached");
	ok(chaining(side), "%s: it is hot after that", side_name(side));

	attach(pid, 1);
	steps(pid);
	result(side, "single steps");
	system_calls(pid);
	result(side, "system call stops");
	breakpoint(pid);
	r = registers(pid);
	r.rip = (uint64_t)traced_spot;
	CHECK(!ptrace(PTRACE_SETREGS, pid, 0, &r));
	result(side, "a breakpoint in the text");
	hardware_breakpoint(pid);
	result(side, "a hardware breakpoint");
	CHECK(!ptrace(PTRACE_DETACH, pid, 0, 0));
	advances("after the detach");
	result(side, "it goes on");

	attach(pid, 1);
	poke(pid, 2222);
	result(side, "text poked once");
	sleep_ms(300);
	attach(pid, 1);
	poke(pid, 3333);
	result(side, "text poked again");

	attach(pid, 1);
	look(pid);
	CHECK(!ptrace(PTRACE_KILL, pid, 0, 0) || !kill(pid, SIGKILL));
	waitpid(pid, NULL, 0);
	result(side, "killed by its debugger");
}

int main(void)
{
	seen = shared(sizeof(*seen));
	test_begin();
	sides_begin();
	for_each_side(side)
		test(side);
	sides_end();
	return test_end();
}
