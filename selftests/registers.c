// SPDX-License-Identifier: GPL-2.0
/*
 * registers: what a program holds in its registers stays what it is across
 * chained system calls: the general registers, DF and the arithmetic flags,
 * xmm/ymm 0-15, MXCSR and the x87 control word; with timer signals, and with
 * neighbours on the same CPUs that use the vector registers all the time; held over
 * gaps that do not touch the vector state, and computed with in gaps that do.
 */
#include <sys/time.h>

#include "ub_regs.h"

UB_RIG(nothing, "");

/* A bare loop of getppid that keeps everything else as it is. */
void bare_loop(long n);
asm(".pushsection .text\n.globl bare_loop\n.type bare_loop, @function\nbare_loop:\n"
    "push %rbx\n push %r12\n push %r13\n"
    "mov %rdi, %rbx\n mov $0x1111222233334444, %r12\n mov %r12, %r13\n"
    "1: mov $110, %eax\n syscall\n"
    "add $3, %r12\n add $3, %r13\n cmp %r12, %r13\n jne 2f\n"
    "dec %rbx\n jnz 1b\n"
    "pop %r13\n pop %r12\n pop %rbx\n ret\n"
    "2: ud2\n"
    ".size bare_loop, . - bare_loop\n.popsection");

/* Flags through a system call: the entry keeps them in r11, the exit restores them. */
uint64_t flags_loop(long n);
asm(".pushsection .text\n.globl flags_loop\n.type flags_loop, @function\nflags_loop:\n"
    "push %rbx\n push %r12\n mov %rdi, %rbx\n xor %r12d, %r12d\n"
    "1: mov $110, %eax\n mov $0x7fffffff, %edx\n add $1, %edx\n"	/* OF SF AF PF */
    "mov $110, %eax\n syscall\n"
    "jno 2f\n jns 2f\n jz 2f\n jc 2f\n jnp 2f\n"
    "mov $110, %eax\n mov $-1, %edx\n add $1, %edx\n"			/* CF ZF AF PF */
    "mov $110, %eax\n syscall\n"
    "jo 2f\n js 2f\n jnz 2f\n jnc 2f\n jnp 2f\n"
    "jmp 3f\n2: inc %r12\n3: dec %rbx\n jnz 1b\n"
    "mov %r12, %rax\n pop %r12\n pop %rbx\n ret\n"
    ".size flags_loop, . - flags_loop\n.popsection");

/* With the direction flag set over the system call. Return: wrong rounds. */
uint64_t direction_loop(long n);
asm(".pushsection .text\n.globl direction_loop\n.type direction_loop, @function\ndirection_loop:\n"
    "push %rbx\n push %r12\n mov %rdi, %rbx\n xor %r12d, %r12d\n"
    "1: std\n mov $110, %eax\n syscall\n"
    "lea direction_bytes+8(%rip), %rsi\n lodsb\n cld\n"
    "lea direction_bytes+7(%rip), %rdx\n cmp %rdx, %rsi\n je 2f\n inc %r12\n2:"
    "dec %rbx\n jnz 1b\n"
    "mov %r12, %rax\n pop %r12\n pop %rbx\n ret\n"
    ".size direction_loop, . - direction_loop\n.popsection");
__attribute__((used)) char direction_bytes[16];

struct result {
	int hot;
	long rounds, wrong, signals, vector_wrong;
};

static struct result *now;

static void general_loop(void *argument)
{
	for (int i = 0; i < 500; i++) {
		nothing();
		now->rounds++;
		for (int r = 0; r < REGISTERS; r++)
			now->wrong += rig_out[r] != rig_in[r];
		/* As the syscall instruction leaves them. */
		now->wrong += rig_rcx != (uint64_t)nothing_behind;
		now->wrong += (rig_r11 & ~0xcd5ul) != 0x202;
	}
}

static void general_side(void *argument)
{
	uint64_t until;

	rig_patterns();
	now->hot = heat(general_loop, NULL);
	until = now_ns() + duration_ms(1500) * 1000000ul;
	while (now_ns() < until)
		general_loop(NULL);
}

static void flags(void *argument)
{
	now->rounds += 400;
	now->wrong += flags_loop(200);
}

static void flags_side(void *argument)
{
	uint64_t until;

	now->hot = heat(flags, NULL);
	until = now_ns() + duration_ms(500) * 1000000ul;
	while (now_ns() < until)
		flags(NULL);
	now->wrong += direction_loop(1000);
}

/* The vector state: 16 registers of 32 bytes (16 without AVX), MXCSR, the x87 control word. */
struct vector_state {
	uint8_t ymm[16][32];
	uint32_t mxcsr;
	uint16_t control;
} __attribute__((aligned(32)));

static int have_avx;

static __attribute__((noinline)) void vector_load(const struct vector_state *s)
{
	asm volatile("ldmxcsr %0\n fldcw %1" : : "m"(s->mxcsr), "m"(s->control));
#define LOAD(i) asm volatile("movups (%0), %%xmm" #i : : "r"(s->ymm[i]) : "memory")
#define LOADY(i) asm volatile("vmovups (%0), %%ymm" #i : : "r"(s->ymm[i]) : "memory")
#define EACH(M) M(0); M(1); M(2); M(3); M(4); M(5); M(6); M(7); M(8); M(9); M(10); M(11); M(12); \
		M(13); M(14); M(15)
	if (have_avx) {
		EACH(LOADY);
	} else {
		EACH(LOAD);
	}
}

static __attribute__((noinline)) void vector_store(struct vector_state *s)
{
#define STORE(i) asm volatile("movups %%xmm" #i ", (%0)" : : "r"(s->ymm[i]) : "memory")
#define STOREY(i) asm volatile("vmovups %%ymm" #i ", (%0)" : : "r"(s->ymm[i]) : "memory")
	if (have_avx) {
		EACH(STOREY);
	} else {
		EACH(STORE);
	}
	asm volatile("stmxcsr %0\n fnstcw %1" : "=m"(s->mxcsr), "=m"(s->control));
}

/*
 * Every gap adds what is in register 14 to the bytes of the fourteen before it, and turns MXCSR's
 * rounding around. Return: rounds whose MXCSR was not the one of the round before.
 */
#define GAP_LOOP(name, adds)							\
	uint64_t name(long n);							\
	asm(".pushsection .text\n.globl " #name "\n.type " #name ", @function\n" #name ":\n"	\
	    "push %rbx\n push %r12\n push %r13\n sub $16, %rsp\n"		\
	    "mov %rdi, %rbx\n xor %r12d, %r12d\n stmxcsr (%rsp)\n mov (%rsp), %r13d\n"	\
	    "1: mov $110, %eax\n syscall\n"					\
	    adds								\
	    "stmxcsr (%rsp)\n cmp (%rsp), %r13d\n je 2f\n inc %r12\n"		\
	    "2: xor $0x2000, %r13d\n mov %r13d, (%rsp)\n ldmxcsr (%rsp)\n"	\
	    "dec %rbx\n jnz 1b\n"						\
	    "mov %r12, %rax\n add $16, %rsp\n pop %r13\n pop %r12\n pop %rbx\n ret\n"	\
	    ".size " #name ", . - " #name "\n.popsection")
#define ADDX(i) "paddb %xmm14, %xmm" #i "\n"
#define ADDY(i) "vpaddb %ymm14, %ymm" #i ", %ymm" #i "\n"
#define ADDS(A) A(0) A(1) A(2) A(3) A(4) A(5) A(6) A(7) A(8) A(9) A(10) A(11) A(12) A(13)

GAP_LOOP(sse_gaps, ADDS(ADDX));
GAP_LOOP(avx_gaps, ADDS(ADDY));

static void vector_fill(struct vector_state *s, unsigned int seed)
{
	memset(s, 0, sizeof(*s));
	for (int i = 0; i < 16; i++)
		for (int b = 0; b < (have_avx ? 32 : 16); b++)
			s->ymm[i][b] = seed * 31 + i * 17 + b;
	s->mxcsr = seed & 1 ? 0x1fa0 : 0x3f80;	/* other rounding, another sticky bit */
	s->control = seed & 1 ? 0x37f : 0xb7f;
}

/* Return: 1 when the state is the same after so many chained calls. */
static int vector_round(unsigned int seed, long calls)
{
	struct vector_state in, out;

	vector_fill(&in, seed);
	memset(&out, 0, sizeof(out));
	vector_load(&in);
	bare_loop(calls);
	vector_store(&out);
	return !memcmp(&in, &out, sizeof(in));
}

/* The same of gaps that compute with it. */
static int gap_round(unsigned int seed, long calls)
{
	struct vector_state in, out;
	uint64_t wrong;

	vector_fill(&in, seed);
	memset(&out, 0, sizeof(out));
	vector_load(&in);
	wrong = have_avx ? avx_gaps(calls) : sse_gaps(calls);
	vector_store(&out);
	for (int i = 0; i < 14; i++)
		for (int b = 0; b < (have_avx ? 32 : 16); b++)
			in.ymm[i][b] += calls * in.ymm[14][b];
	in.mxcsr ^= calls & 1 ? 0x2000 : 0;
	return !wrong && !memcmp(&in, &out, sizeof(in));
}

static void handler(int signal)
{
	struct vector_state trash;

	now->signals++;
	vector_fill(&trash, now->signals);
	vector_load(&trash);
}

static void bare(void *argument)
{
	bare_loop(500);
}

static void gaps(void *argument)
{
	if (have_avx)
		avx_gaps(500);
	else
		sse_gaps(500);
}

/* Round after round, hot by way of @loop, with timer signals whose handler uses the vector registers. */
static void signalled_side(void (*loop)(void *), int (*round)(unsigned int seed, long calls))
{
	struct itimerval t = { { 0, 1000 }, { 0, 1000 } };
	uint64_t until;
	unsigned int seed = getpid();

	signal(SIGALRM, handler);
	now->hot = heat(loop, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
	until = now_ns() + duration_ms(3000) * 1000000ul;
	for (; now_ns() < until; seed++) {
		now->rounds++;
		now->vector_wrong += !round(seed, 300 + seed % 2);
	}
	memset(&t, 0, sizeof(t));
	setitimer(ITIMER_REAL, &t, NULL);
}

static void vector_side(void *argument)
{
	signalled_side(bare, vector_round);
}

static void gap_side(void *argument)
{
	signalled_side(gaps, gap_round);
}

/* Uses the vector registers without end. */
static void neighbour(void *argument)
{
	struct vector_state s;

	for (unsigned int seed = getpid();; seed++) {
		vector_fill(&s, seed);
		vector_load(&s);
		if (seed % 64 == 0)
			sched_yield();
	}
}

/* The same with chained ones as neighbours of each other: two that hold, two that compute. */
static void crowd(enum side side)
{
	struct result *each = shared(4 * sizeof(*each));
	pid_t pid[4], other[2];
	long rounds = 0, wrong = 0, signals = 0;
	int died = 0, hot = 0;

	for (int i = 0; i < 2; i++)
		other[i] = side_start(NATIVE, neighbour, NULL);
	for (int i = 0; i < 4; i++) {
		now = &each[i];
		pid[i] = side_start(side, i % 2 ? gap_side : vector_side, NULL);
	}
	for (int i = 0; i < 4; i++) {
		died += !child_ok(child_wait(pid[i], 60000));
		rounds += each[i].rounds;
		wrong += each[i].vector_wrong;
		signals += each[i].signals;
		hot += each[i].hot;
	}
	for (int i = 0; i < 2; i++) {
		kill(other[i], SIGKILL);
		waitpid(other[i], NULL, 0);
	}
	ok(!died && !wrong && rounds && signals, "%s: vector state of four tasks beside vector users "
	   "(%ld rounds, %ld signals, %ld wrong, %d died)", side_name(side), rounds, signals, wrong, died);
	if (side == HOT && ub_present())
		note("%d of the four saw nine tenths of the cgroup chained", hot);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*side)(void *argument);
	} tests[] = {
		{ "general registers, rcx and r11", general_side },
		{ "flags over system calls", flags_side },
		{ "vector state, MXCSR, control word", vector_side },
		{ "vector state that gaps compute with, MXCSR that they load", gap_side },
	};
	struct result *results = shared(2 * sizeof(*results));

	have_avx = __builtin_cpu_supports("avx");
	test_begin();
	sides_begin();
	note("with%s AVX", have_avx ? "" : "out");
	for (unsigned int i = 0; i < ARRAY_SIZE(tests); i++)
		for_each_side(side) {
			int status;

			memset(now = &results[side], 0, sizeof(*now));
			status = side_run(side, tests[i].side, NULL);
			ok(child_ok(status) && now->hot && now->rounds && !now->wrong && !now->vector_wrong,
			   "%s: %s (%ld rounds, %ld wrong, %ld vector wrong%s)", side_name(side), tests[i].name,
			   now->rounds, now->wrong, now->vector_wrong, now->hot ? "" : ", not hot");
		}
	for_each_side(side)
		crowd(side);
	sides_end();
	return test_end();
}
