/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ub_regs.h - registers with known values around one instruction.
 *
 * UB_RIG(name, instruction) defines the function name(): it makes getppid, which
 * begins a gap, loads all general registers but rsp from rig_in[], leaves OF, SF,
 * AF and PF set, runs the instruction, and stores the registers to rig_out[] and
 * the flags to rig_flags[]. All of it is integer code that ub translates, so a
 * loop of name() calls is one chain.
 *
 * name_at and name_done label the instruction and what follows it. A signal
 * handler that sets the rip to rig_resume goes on there; fault_install() installs
 * one that does and records what it saw in *fault_seen.
 */
#pragma once

#include "ub_test.h"

#include <ucontext.h>

enum { RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15, REGISTERS };

__attribute__((used)) uint64_t rig_in[REGISTERS], rig_out[REGISTERS];
__attribute__((used)) uint64_t rig_rax, rig_rcx, rig_r11;	/* as the system call left them */
__attribute__((used)) uint64_t rig_sp, rig_saved_sp;		/* for instructions on another stack */
__attribute__((used)) uint8_t rig_flags[4];			/* CF, OF, SF, ZF */
static uint64_t rig_resume;

#define RIG_LOAD(i, register) "mov rig_in+8*" #i "(%rip), %" register "\n"
#define RIG_STORE(i, register) "mov %" register ", rig_out+8*" #i "(%rip)\n"
#define RIG_EACH(M)								\
	M(1, "rbx") M(2, "rcx") M(3, "rdx") M(4, "rsi") M(5, "rdi") M(6, "rbp")	\
	M(7, "r8") M(8, "r9") M(9, "r10") M(10, "r11") M(11, "r12") M(12, "r13")	\
	M(13, "r14") M(14, "r15") M(0, "rax")

#define UB_RIG(name, instruction)					\
	void name(void);						\
	extern const char name##_at[], name##_done[], name##_behind[];	\
	asm(".pushsection .text\n"					\
	    ".globl " #name ", " #name "_at, " #name "_done, " #name "_behind\n" \
	    ".type " #name ", @function\n"				\
	    ".balign 16\n" #name ":\n"					\
	    "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n" \
	    "mov %rsp, rig_saved_sp(%rip)\n"				\
	    "mov $110, %eax\n syscall\n" /* getppid */			\
	    #name "_behind:\n"						\
	    "mov %rax, rig_rax(%rip)\n"					\
	    "mov %rcx, rig_rcx(%rip)\n"					\
	    "mov %r11, rig_r11(%rip)\n"					\
	    "mov $0x7fffffff, %eax\n add $1, %eax\n"			\
	    RIG_EACH(RIG_LOAD)						\
	    #name "_at:\n" instruction "\n"				\
	    #name "_done:\n"						\
	    RIG_EACH(RIG_STORE)						\
	    "setc %al\n mov %al, rig_flags+0(%rip)\n"			\
	    "seto %al\n mov %al, rig_flags+1(%rip)\n"			\
	    "sets %al\n mov %al, rig_flags+2(%rip)\n"			\
	    "setz %al\n mov %al, rig_flags+3(%rip)\n"			\
	    "mov rig_saved_sp(%rip), %rsp\n"				\
	    "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n" \
	    "ret\n"							\
	    ".size " #name ", . - " #name "\n"				\
	    ".popsection\n")

static inline uint64_t rig_pattern(unsigned int i)
{
	return 0x0123456789abcdefu * (2 * i + 1) >> 2;
}

/* Values that are no addresses of the kernel and differ from each other. */
static inline void rig_patterns(void)
{
	for (unsigned int i = 0; i < REGISTERS; i++)
		rig_in[i] = rig_pattern(i);
}

/* What a handler saw: everything that a program can look at. */
struct fault_seen {
	int signal, code;
	uint64_t address, count;
	greg_t registers[NGREG];
};

static struct fault_seen *fault_seen;

static inline void fault_handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	fault_seen->signal = signal;
	fault_seen->code = info->si_code;
	fault_seen->address = (uint64_t)info->si_addr;
	fault_seen->count++;
	for (int i = 0; i < NGREG; i++)
		fault_seen->registers[i] = uc->uc_mcontext.gregs[i];
	uc->uc_mcontext.gregs[REG_RIP] = rig_resume;
}

static inline void fault_install(struct fault_seen *seen)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
	static char stack[65536];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_sigaction = fault_handler,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK };

	fault_seen = seen;
	sigaltstack(&alternate, NULL);
	for (unsigned int i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
}

#define ARITHMETIC_FLAGS 0x8d5ul	/* OF SF ZF AF PF CF */

/* Says where two of them differ, but in @flags of the flags register. Return: 1 when they do not. */
static inline int fault_equal_but(const struct fault_seen *native, const struct fault_seen *hot,
				  unsigned long flags)
{
	int equal = 1;

	if (native->signal != hot->signal || native->code != hot->code ||
	    native->address != hot->address || native->count != hot->count) {
		note("native: signal %d code %d address %#lx count %lu", native->signal,
		     native->code, native->address, native->count);
		note("hot:    signal %d code %d address %#lx count %lu", hot->signal,
		     hot->code, hot->address, hot->count);
		equal = 0;
	}
	for (int i = 0; i < NGREG; i++)
		if ((native->registers[i] ^ hot->registers[i]) & ~(i == REG_EFL ? flags : 0)) {
			note("greg %d: native %#llx, hot %#llx", i, native->registers[i], hot->registers[i]);
			equal = 0;
		}
	return equal;
}

static inline int fault_equal(const struct fault_seen *native, const struct fault_seen *hot)
{
	return fault_equal_but(native, hot, 0);
}
