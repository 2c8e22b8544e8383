// SPDX-License-Identifier: GPL-2.0
/*
 * sigreturn: a thread that chains says where it goes on, in which code segment and with
 * which flags: any number is possible. Whatever it is, what follows is what follows
 * natively: the same signal, address and registers, or the same code run to the same end.
 */
#include "ub_regs.h"

/* The signal arrives behind tgkill; its handler moves the thread. */
UB_RIG(odd, "mov $234, %eax\n syscall");

/*
 * A gap to be sent into. It leaves through place_exit, with what it found out in rax.
 * place_wide+1 is mov $0x90909090, %eax; place_call+1 is add $0x90909090, %eax; place_bucket has the
 * same place in a table by the address' low bits as place_gap.
 */
void place(void);
extern const char place_gap[], place_middle[], place_wide[], place_call[], place_last[], place_bucket[];
__attribute__((used)) const void *place_exit;
asm(".pushsection .text\n"
    ".globl place, place_gap, place_middle, place_wide, place_call, place_last, place_bucket\n"
    ".balign 4096\n"
    "place:\n lea 9f(%rip), %rax\n mov %rax, place_exit(%rip)\n"
    "mov $110, %eax\n syscall\n"
    "place_gap:\n lea 3(%rax), %rdx\n"
    "place_middle:\n lea 5(%rdx), %rdx\n"
    "place_wide:\n movabs $0x9090909090909090, %rax\n"
    "lea 7(%rax, %rdx), %rsi\n"
    "mov $110, %eax\n"
    "place_call:\n syscall\n nop\n nop\n nop\n nop\n"
    "place_last:\n lea 1(%rax), %rdi\n"
    "jmp *place_exit(%rip)\n"
    "9: ret\n"
    "int3\n .org place_gap + 512, 0xcc\n"
    "place_bucket:\n int3\n"
    ".balign 4096, 0xcc\n.popsection");

#define USER32_CS 0x23
#define ROUNDS 20

/* Where and how the thread goes on. */
static struct odd {
	const char *name;
	uint64_t ip, flags_set;
	unsigned int cs;
} odds[48];
static unsigned int odd_count;

struct result {
	int hot;
	long rounds, varied;
	struct outcome {
		struct fault_seen fault;
		uint64_t out[REGISTERS];
		uint8_t flags[4];
	} outcome[ARRAY_SIZE(odds)];
};

static struct result *now;
static const struct odd *sent;
static const void *away[512];		/* the stack the thread is sent off with */

static void add(const char *name, uint64_t ip)
{
	if (odd_count == ARRAY_SIZE(odds))
		broken("too many odd places");
	odds[odd_count++] = (struct odd){ name, ip, 0, 0 };
}

static void odds_make(void)
{
	const uint64_t gap = (uint64_t)place_gap;

	add("where it was", (uint64_t)odd_done);	/* the first one is the hot path */
	add("0", 0);
	add("1", 1);
	add("~0", ~0ul);
	add("~0 >> 1", ~0ul >> 1);
	add("~0 >> 1, a bucket before", (~0ul >> 1) - 512);
	add("bit 63 alone", 1ul << 63);
	add("bit 47 alone", 1ul << 47);
	add("bit 56 alone", 1ul << 56);
	add("the user half's last byte", (1ul << 47) - 1);
	add("the user half's last page", (1ul << 47) - 4096);
	add("the page before it", (1ul << 47) - 2 * 4096);
	add("the last bytes of that", (1ul << 47) - 4096 - 1);
	add("the end of the user half of LA57", (1ul << 56) - 1);
	add("non-canonical", 0x1234567800000000);
	add("the kernel half's first byte", 0xffff800000000000);
	add("the direct map", 0xffff888000100000);
	add("kernel text", 0xffffffff81000000);
	add("modules", 0xffffffffc0000000);
	add("the vsyscall page", 0xffffffffff600000);
	add("inside of the vsyscall page", 0xffffffffff600001);
	add("a gap's start", gap);
	add("a gap's start with bit 63", gap | 1ul << 63);
	add("a gap's start with bit 62", gap | 1ul << 62);
	add("a gap's start with bit 56", gap | 1ul << 56);
	add("a gap's start with bit 47", gap | 1ul << 47);
	add("a gap's start, sign-extended", gap | ~0ul << 47);
	add("another place of the gap's bucket", (uint64_t)place_bucket);
	add("the middle of a gap", (uint64_t)place_middle);
	add("the middle of an instruction of a gap", (uint64_t)place_wide + 1);
	add("a gap's syscall", (uint64_t)place_call);
	add("the middle of a gap's syscall", (uint64_t)place_call + 1);
	add("behind a gap's syscall", (uint64_t)place_last);

	add("a gap's start, stepping", gap);
	odds[odd_count - 1].flags_set = 0x100;
	add("a gap's syscall, stepping", (uint64_t)place_call);
	odds[odd_count - 1].flags_set = 0x100;
	add("a gap's start, checking alignment", gap);
	odds[odd_count - 1].flags_set = 0x40000;
	add("a gap's start, resuming", gap);
	odds[odd_count - 1].flags_set = 0x10000;
	add("a gap's start, IOPL, NT and VM wanted", gap);
	odds[odd_count - 1].flags_set = 0x27000;
	add("a gap's start, all arithmetic flags, backwards", gap);
	odds[odd_count - 1].flags_set = 0xcd5;
	add("0, as 32-bit code", 0);
	odds[odd_count - 1].cs = USER32_CS;
	add("a gap's start, as 32-bit code", gap);
	odds[odd_count - 1].cs = USER32_CS;
	add("~0, as 32-bit code", ~0ul);
	odds[odd_count - 1].cs = USER32_CS;
}

/* Sends the thread where it is to go, from a chain. Nothing differs between the sides. */
static void handler(int signal, siginfo_t *info, void *context)
{
	static const int greg[] = { REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_RBP, REG_R8,
				    REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };
	greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;

	for (int i = 0; i < REGISTERS; i++)
		gregs[greg[i]] = rig_pattern(i);
	gregs[REG_RIP] = sent->ip;
	gregs[REG_EFL] = 0x202 | sent->flags_set;
	if (sent->cs)
		gregs[REG_CSGSFS] = (gregs[REG_CSGSFS] & ~0xffffll) | sent->cs;
	/* The vsyscall page returns to what is on the stack. */
	away[ARRAY_SIZE(away) / 2] = odd_done;
	gregs[REG_RSP] = (greg_t)&away[ARRAY_SIZE(away) / 2];
	for (int i = 0; i < 16; i++)
		syscall(SYS_getppid);
}

/* As fault_handler(), and whatever the thread was sent into, it comes back as it was. */
static void fault(int signal, siginfo_t *info, void *context)
{
	greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;

	fault_handler(signal, info, context);
	gregs[REG_EFL] = 0x202;
	gregs[REG_CSGSFS] = (gregs[REG_CSGSFS] & ~0xffffll) | 0x33;
}

static void send_to(const struct odd *where)
{
	sent = where;
	rig_patterns();
	rig_in[RDI] = getpid();
	rig_in[RSI] = gettid();
	rig_in[RDX] = SIGUSR1;
	for (int i = 0; i < 4; i++)
		place();
	place_exit = odd_done;
	odd();
	if (where->flags_set)
		asm volatile("push $0x202\n popf" : : : "cc", "memory");
}

static void loop(void *argument)
{
	for (int i = 0; i < 100; i++)
		send_to(&odds[0]);
}

static void side(void *argument)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	static struct fault_seen seen;

	rig_resume = (uint64_t)odd_done;
	fault_install(&seen);
	sigaction(SIGUSR1, &action, NULL);
	action.sa_sigaction = fault;
	action.sa_flags |= SA_ONSTACK;
	for (unsigned int i = 0; i < ARRAY_SIZE(faults); i++)
		sigaction(faults[i], &action, NULL);
	now->hot = heat_to(loop, NULL, 50);
	for (unsigned int i = 0; i < odd_count; i++) {
		struct outcome *first = &now->outcome[i], outcome;

		for (int round = 0; round < ROUNDS; round++) {
			memset(&seen, 0, sizeof(seen));
			send_to(&odds[i]);
			memset(&outcome, 0, sizeof(outcome));
			outcome.fault = seen;
			memcpy(outcome.out, rig_out, sizeof(rig_out));
			memcpy(outcome.flags, rig_flags, sizeof(rig_flags));
			if (!round)
				*first = outcome;
			else
				now->varied += memcmp(first, &outcome, sizeof(outcome)) != 0;
			now->rounds++;
		}
	}
	now->hot &= heat_to(loop, NULL, 50);
}

static int equal(const struct outcome *native, const struct outcome *hot)
{
	for (int i = 0; i < REGISTERS; i++)
		if (native->out[i] != hot->out[i])
			note("register %d after it: native %#lx, hot %#lx", i, native->out[i], hot->out[i]);
	return fault_equal(&native->fault, &hot->fault) && !memcmp(native->out, hot->out, sizeof(hot->out)) &&
	       !memcmp(native->flags, hot->flags, sizeof(hot->flags));
}

int main(void)
{
	struct result *results = shared(2 * sizeof(*results));

	test_begin();
	odds_make();
	sides_begin();
	for_each_side(s) {
		int status;

		now = &results[s];
		status = side_run(s, side, NULL);
		ok(child_ok(status) && now->hot && now->rounds == odd_count * ROUNDS && !now->varied,
		   "%s: went on at %ld odd places (%ld not as the first time, status %#x%s)", side_name(s),
		   now->rounds, now->varied, status, now->hot ? "" : ", not hot");
	}
	for (unsigned int i = 0; i < odd_count; i++)
		ok(equal(&results[NATIVE].outcome[i], &results[HOT].outcome[i]), "%s: as natively (signal %d, %#lx)",
		   odds[i].name, results[NATIVE].outcome[i].fault.signal, results[NATIVE].outcome[i].fault.address);
	sides_end();
	return test_end();
}
