// SPDX-License-Identifier: GPL-2.0
/*
 * attack: hot code reaches for what is the kernel's, by every form of address, around both
 * ends of the address space, by instructions that show or change more in kernel mode, by
 * flags and exceptions of all kinds. Each has the native outcome: the same
 * signal with the same registers, or the same results and memory.
 */
#include <sys/prctl.h>

#include "ub_regs.h"

/* Addresses: rdi + rsi, in all forms there are. */
UB_RIG(sum, "mov (%rdi,%rsi), %rax");
UB_RIG(sum_below, "mov -0x7ffffff0(%rdi,%rsi), %rax");
UB_RIG(sum_above, "mov 0x7ffffff0(%rdi,%rsi), %rax");
UB_RIG(sum_stored, "mov %rdx, (%rdi,%rsi)");
UB_RIG(sum_added, "add %rdx, (%rsi,%rdi)");
UB_RIG(sum_swapped, "xchg %rdx, (%rdi,%rsi)");
UB_RIG(sum_zeroed, "lock andl $0, (%rdi,%rsi)");
UB_RIG(sum_read_twice, "mov (%rdi,%rsi), %rax\n mov 64(%rdi,%rsi), %rdx\n mov -64(%rdi,%rsi), %rbx");
UB_RIG(sum_computed, "lea (%rdi,%rsi), %r9\n mov (%r9), %r10\n mov 8(%r9), %r11");
UB_RIG(moved, "add %rsi, %rdi\n mov (%rdi), %rax");
UB_RIG(moved_far, "lea (%rdi,%rsi), %rdx\n add $0x7fffff00, %rdx\n mov -0x7fffff00(%rdx), %rax");
UB_RIG(scaled, "sar $3, %rsi\n mov (%rdi,%rsi,8), %rax");
UB_RIG(short_address, "mov (%edi,%esi), %rax");
UB_RIG(fs_sum, "mov %fs:(%rdi,%rsi), %rax");
UB_RIG(gs_sum, "mov %gs:(%rdi,%rsi), %rax");
/* Behind bt most flags are undefined: test defines them. */
UB_RIG(bit_string, "shl $3, %rsi\n bt %rsi, (%rdi)\n setc %al\n test %al, %al");
UB_RIG(prefetched, "prefetcht0 (%rdi,%rsi)\n prefetchw (%rdi,%rsi)");
UB_RIG(vector, "movups (%rdi,%rsi), %xmm0\n movq %xmm0, %rax");
UB_RIG(vector_stored, "movq %rdx, %xmm0\n movups %xmm0, (%rdi,%rsi)");
UB_RIG(vector_aligned, "movaps (%rdi,%rsi), %xmm0\n movq %xmm0, %rax");
UB_RIG(vector_added, "xorps %xmm0, %xmm0\n paddd (%rdi,%rsi), %xmm0\n movq %xmm0, %rax");
UB_RIG(pushed, "lea (%rdi,%rsi), %rsp\n push %rax\n push %rdx");
UB_RIG(popped, "lea (%rdi,%rsi), %rsp\n pop %rax\n pop %rdx");
UB_RIG(called, "lea (%rdi,%rsi), %rsp\n call 1f\n jmp 2f\n 1: ret\n 2:");
UB_RIG(left, "lea (%rdi,%rsi), %rbp\n leave");
UB_RIG(from_stack, "lea (%rdi,%rsi), %rsp\n mov 0x1000(%rsp), %rax\n mov -0x1000(%rsp), %rdx");
UB_RIG(stack_moved, "lea (%rdi,%rsi), %rsp\n sub $0x800, %rsp\n mov %rax, (%rsp)\n add $0x800, %rsp\n mov %rax, -8(%rsp)");
UB_RIG(memory_pushed, "pushq (%rdi,%rsi)\n pop %rax");

/* … by instructions that leave */
UB_RIG(loaded, "lea (%rdi,%rsi), %rsi\n lodsq");
UB_RIG(loaded_down, "lea (%rdi,%rsi), %rsi\n std\n lodsq\n lodsq\n cld");
UB_RIG(stored, "lea (%rdi,%rsi), %rdi\n stosq");
UB_RIG(copied, "lea (%rdi,%rsi), %rsi\n mov good_memory(%rip), %rdi\n mov $40, %ecx\n rep movsb");
UB_RIG(copied_down, "lea (%rdi,%rsi), %rdi\n mov good_memory(%rip), %rsi\n mov $40, %ecx\n std\n rep movsb\n cld");
UB_RIG(compared, "lea (%rdi,%rsi), %rsi\n mov good_memory(%rip), %rdi\n mov $40, %ecx\n repe cmpsb");
UB_RIG(scanned, "lea (%rdi,%rsi), %rdi\n mov $40, %ecx\n repne scasb");
UB_RIG(translated_byte, "lea (%rdi,%rsi), %rbx\n xlat");

/* Without registers: run where rdi is 0. */
#define IF_ZERO(instruction) "test %rdi, %rdi\n jnz 1f\n " instruction "\n 1:"
UB_RIG(absolute_text, IF_ZERO("mov 0xffffffff81000000, %eax"));
UB_RIG(absolute_text_stored, IF_ZERO("mov %eax, 0xffffffff81000000"));
UB_RIG(absolute_top, IF_ZERO("mov -8, %rax"));
UB_RIG(absolute_long, IF_ZERO("movabs 0xffff888000100000, %rax"));
UB_RIG(fs_below, IF_ZERO("mov %fs:-0x80000000, %rax"));
UB_RIG(fs_above, IF_ZERO("mov %fs:0x7ffffff8, %rax"));
UB_RIG(gs_zero, IF_ZERO("mov %gs:0, %rax"));
UB_RIG(gs_base, IF_ZERO("rdgsbase %rax"));
UB_RIG(machine_word, IF_ZERO("smsw %rax"));
UB_RIG(task_register, IF_ZERO("xor %eax, %eax\n str %eax"));
UB_RIG(segments, IF_ZERO("mov %cs, %eax\n mov %ss, %edx\n mov %ds, %ebx\n mov %gs, %ecx"));
UB_RIG(control, IF_ZERO("mov %cr0, %rax"));
UB_RIG(interrupts_off, IF_ZERO("cli"));
UB_RIG(supervisor, IF_ZERO("stac"));
UB_RIG(swapped_gs, IF_ZERO("swapgs"));
UB_RIG(interrupt, IF_ZERO("int $3"));
UB_RIG(breakpoint_trap, IF_ZERO(".byte 0xf1"));
UB_RIG(flags_word, IF_ZERO("pushf\n pop %rax"));

/* Flags; what is set is cleared again by the rig's caller. */
#define POPF(flags, then) IF_ZERO("pushf\n xorq $" #flags ", (%rsp)\n popf\n " then "\n pushf\n pop %rax")
UB_RIG(popf_step, POPF(0x100, "nop\n nop"));
UB_RIG(popf_alignment, POPF(0x40000, "mov good_memory(%rip), %rdx\n mov 1(%rdx), %rbx"));
UB_RIG(popf_nested, POPF(0x4000, "nop"));
UB_RIG(popf_interrupts, POPF(0x200, "nop"));
UB_RIG(popf_level, POPF(0x3000, "nop"));
UB_RIG(popf_virtual, POPF(0x1b0000, "nop"));
UB_RIG(popf_id, POPF(0x200000, "nop"));

/* Divisions: the divisor is rdi + rsi. */
UB_RIG(divided, "lea (%rdi,%rsi), %r8\n xor %edx, %edx\n div %r8");
UB_RIG(divided_high, "lea (%rdi,%rsi), %r8\n mov $5, %edx\n div %r8");
UB_RIG(divided_lowest, "lea (%rdi,%rsi), %r8\n mov $1, %eax\n shl $63, %rax\n cqo\n idiv %r8");
UB_RIG(divided_short, "lea (%rdi,%rsi), %r8\n mov $1, %eax\n shl $31, %eax\n cdq\n idiv %r8d");
/* With all exceptions of MXCSR unmasked but that of inexact results. */
UB_RIG(divided_vector, "lea (%rdi,%rsi), %r8\n cvtsi2sd %r8, %xmm1\n cvtsi2sd %rdx, %xmm0\n"
		       "divsd %xmm1, %xmm0\n movq %xmm0, %rax");
UB_RIG(rooted, "lea (%rdi,%rsi), %r8\n cvtsi2sd %r8, %xmm1\n sqrtsd %xmm1, %xmm0\n movq %xmm0, %rax");
UB_RIG(converted, "lea (%rdi,%rsi), %r8\n movq %r8, %xmm0\n cvttsd2si %xmm0, %eax");

enum { EXITS = 1, FS = 2, ONCE = 4, UNMASKED = 8 };

static const struct attack {
	const char *name;
	void (*run)(void);
	const char *done;
	int kind;
} attacks[] = {
#define A(name, kind) { #name, name, name##_done, kind }
	A(sum, 0), A(sum_below, 0), A(sum_above, 0), A(sum_stored, 0), A(sum_added, 0), A(sum_swapped, 0),
	A(sum_zeroed, 0), A(sum_read_twice, 0), A(sum_computed, 0), A(moved, 0), A(moved_far, 0), A(scaled, 0),
	A(short_address, EXITS), A(fs_sum, FS), A(gs_sum, EXITS), A(bit_string, EXITS), A(prefetched, 0),
	A(vector, 0), A(vector_stored, 0), A(vector_aligned, 0), A(vector_added, 0),
	A(pushed, 0), A(popped, 0), A(called, 0), A(left, 0), A(from_stack, 0), A(stack_moved, 0),
	A(memory_pushed, 0),
	A(loaded, EXITS), A(loaded_down, EXITS), A(stored, EXITS), A(copied, EXITS), A(copied_down, EXITS),
	A(compared, EXITS), A(scanned, EXITS), A(translated_byte, EXITS),
	A(absolute_text, ONCE), A(absolute_text_stored, ONCE), A(absolute_top, ONCE), A(absolute_long, ONCE),
	A(fs_below, ONCE), A(fs_above, ONCE), A(gs_zero, ONCE), A(gs_base, ONCE), A(machine_word, ONCE),
	A(task_register, ONCE), A(segments, ONCE), A(control, ONCE), A(interrupts_off, ONCE), A(supervisor, ONCE),
	A(swapped_gs, ONCE), A(interrupt, ONCE), A(breakpoint_trap, ONCE), A(flags_word, ONCE),
	A(popf_step, ONCE), A(popf_alignment, ONCE), A(popf_nested, ONCE), A(popf_interrupts, ONCE),
	A(popf_level, ONCE), A(popf_virtual, ONCE), A(popf_id, ONCE),
	A(divided, 0), A(divided_high, 0), A(divided_lowest, 0), A(divided_short, 0),
	A(divided_vector, UNMASKED), A(rooted, UNMASKED), A(converted, UNMASKED),
};

#define GOOD_BYTES 16384ul
__attribute__((used)) char *good_memory;	/* in the middle of memory of its own */

static struct place {
	uint64_t base, index;
} places[64];
static unsigned int place_count;

struct outcome {
	struct fault_seen fault;
	uint64_t out[REGISTERS], memory;
	uint8_t flags[4];
};
struct result {
	int hot, stamp_faults;
	struct outcome outcome[ARRAY_SIZE(places)];
};

static struct result *now;
static const struct attack *attack;

static void add(uint64_t base, uint64_t index)
{
	if (place_count == ARRAY_SIZE(places))
		broken("too many places");
	places[place_count++] = (struct place){ base, index };
}

static void places_make(void)
{
	static const uint64_t wild[] = {
		0xffffffff81000000, 0xffff888000100000, 0xffff800000000000, 0xffffc90000000000, 0xff11000000100000,
		0x1200000000000000, 0x7ffffffffff8, 0x800000000000 - 4, 0x7fffffffeff8, 0x800000000000 + 4096,
		0xfffffffffffffff8, 0xfffffffffffffffc, 0xffffffffffe00000, 0xffffffffffdffff8, 0xffff7fffffffffff,
		8, 0x100000000, 0x8000000000000000,
	};
	char *memory = mmap(NULL, 4 * GOOD_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t good;

	if (memory == MAP_FAILED || mprotect(memory, GOOD_BYTES, PROT_NONE) ||
	    mprotect(memory + 3 * GOOD_BYTES, GOOD_BYTES, PROT_NONE))
		broken("memory");
	good_memory = memory + 2 * GOOD_BYTES;
	good = (uint64_t)good_memory;
	add(good, 0);			/* the first one is the hot path */
	add(0, 0);
	add(good - 4096, 4096);
	add(good + 1, 0);
	add(good + 4096, -4096ul);
	for (unsigned int i = 0; i < ARRAY_SIZE(wild); i++) {
		add(wild[i], 0);
		add(good, wild[i] - good);
		add(wild[i] & ~7ul, good - (wild[i] & ~7ul));	/* which is good */
	}
	add(0, -1ul);
	add((uint64_t)memory + GOOD_BYTES - 4, 0);
	add((uint64_t)memory + 3 * GOOD_BYTES - 4, 0);
}

static uint64_t fs_base(void)
{
	uint64_t base;

	asm("mov %%fs:0, %0" : "=r"(base));
	return base;
}

static void set_place(unsigned int which)
{
	rig_patterns();
	rig_in[RDI] = places[which].base;
	rig_in[RSI] = places[which].index;
	if (attack->kind == FS)
		rig_in[RDI] -= fs_base();
	if (attack->kind == ONCE && which)
		rig_in[RDI] = 0;
	/* What is good stays so. */
	if (attack->run == sum_below)
		rig_in[RDI] += 0x7ffffff0;
	if (attack->run == sum_above)
		rig_in[RDI] -= 0x7ffffff0;
	rig_sp = 0;
}

static void rounds(void *argument)
{
	set_place(0);
	for (int i = 0; i < 300; i++)
		attack->run();
}

static void clear_flags(void)
{
	asm volatile("push $0x202\n popf" : : : "cc", "memory");
}

/* As fault_handler(), and a step is the last one. */
static void handler(int signal, siginfo_t *info, void *context)
{
	fault_handler(signal, info, context);
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~0x40100ll;
}

static void side(void *argument)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	static struct fault_seen seen;
	unsigned int mxcsr = 0x1000, usual = 0x1f80;

	pin_to_cpu(0);
	rig_resume = (uint64_t)attack->done;
	fault_install(&seen);
	for (unsigned int i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
	if (attack->kind == EXITS) {
		for (int i = 0; i < 10; i++)
			rounds(NULL);
		now->hot = 1;
	} else {
		now->hot = heat_to(rounds, NULL, 80);
	}
	for (unsigned int i = 0; i < (attack->kind == ONCE ? 2 : place_count); i++) {
		struct outcome *outcome = &now->outcome[i];

		for (int warm = 0; warm < 20; warm++) {
			set_place(0);
			attack->run();
		}
		for (unsigned int b = 0; b < 2 * GOOD_BYTES; b++)
			good_memory[b - GOOD_BYTES] = b * 7 >> 2;
		memset(&seen, 0, sizeof(seen));
		set_place(i);
		if (attack->kind == UNMASKED)
			asm volatile("ldmxcsr %0" : : "m"(mxcsr));
		for (int warm = 0; warm < 3; warm++)
			attack->run();
		if (attack->kind == UNMASKED)
			asm volatile("ldmxcsr %0" : : "m"(usual));
		if (attack->kind == ONCE)
			clear_flags();
		outcome->fault = seen;
		memcpy(outcome->out, rig_out, sizeof(rig_out));
		memcpy(outcome->flags, rig_flags, sizeof(rig_flags));
		for (unsigned int b = 0; b < 2 * GOOD_BYTES; b++)
			outcome->memory = outcome->memory * 31 + (uint8_t)good_memory[b - GOOD_BYTES];
	}
}

static int equal(unsigned int which, const struct outcome *native, const struct outcome *hot)
{
	int same = fault_equal_but(&native->fault, &hot->fault, ARITHMETIC_FLAGS) && native->memory == hot->memory &&
		   !memcmp(native->out, hot->out, sizeof(hot->out)) &&
		   (native->fault.count || !memcmp(native->flags, hot->flags, sizeof(hot->flags)));

	if (same)
		return 1;
	note("%s at %#lx + %#lx differs%s", attack->name, places[which].base, places[which].index,
	     native->memory != hot->memory ? ", also memory" : "");
	for (int i = 0; i < REGISTERS; i++)
		if (native->out[i] != hot->out[i])
			note("register %d after it: native %#lx, hot %#lx", i, native->out[i], hot->out[i]);
	return 0;
}

static void run(struct result *results)
{
	int wrong = 0, faults = 0, status;

	memset(results, 0, 2 * sizeof(*results));
	for_each_side(s) {
		now = &results[s];
		status = side_run(s, side, NULL);
		if (!child_ok(status)) {
			ok(0, "%s: %s ran (status %#x)", side_name(s), attack->name, status);
			return;
		}
	}
	for (unsigned int i = 0; i < place_count; i++) {
		faults += results[NATIVE].outcome[i].fault.count != 0;
		wrong += !equal(i, &results[NATIVE].outcome[i], &results[HOT].outcome[i]);
	}
	ok(!wrong && results[HOT].hot, "%s: as natively (%d faults, %d wrong%s)", attack->name, faults, wrong,
	   results[HOT].hot ? "" : ", not hot");
}

/* The time stamp counter switched off while hot. */
static void stamps(void *argument)
{
	unsigned int low, high;

	for (int i = 0; i < 300; i++) {
		syscall(SYS_getppid);
		asm volatile("rdtsc" : "=a"(low), "=d"(high));
	}
}

static void faults_at_rdtsc(int signal, siginfo_t *info, void *context)
{
	now->stamp_faults++;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
}

static void stamp_side(void *argument)
{
	struct sigaction action = { .sa_sigaction = faults_at_rdtsc, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &action, NULL);
	for (int i = 0; i < 10; i++)
		stamps(NULL);
	now->hot = 1;
	prctl(PR_SET_TSC, PR_TSC_SIGSEGV);
	stamps(NULL);
	prctl(PR_SET_TSC, PR_TSC_ENABLE);
	stamps(NULL);
}

static void run_stamps(struct result *results)
{
	memset(results, 0, 2 * sizeof(*results));
	for_each_side(s) {
		int status;

		now = &results[s];
		status = side_run(s, stamp_side, NULL);
		ok(child_ok(status) && now->hot, "%s: rdtsc switched off ran (%d faults)", side_name(s), now->stamp_faults);
	}
	ok(results[NATIVE].stamp_faults == results[HOT].stamp_faults, "rdtsc switched off: as natively");
}

int main(void)
{
	struct result *results = shared(2 * sizeof(*results));

	test_begin();
	places_make();
	sides_begin();
	for (unsigned int i = 0; i < ARRAY_SIZE(attacks); i++) {
		attack = &attacks[i];
		run(results);
	}
	run_stamps(results);
	sides_end();
	return test_end();
}
