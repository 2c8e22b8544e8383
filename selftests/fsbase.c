// SPDX-License-Identifier: GPL-2.0
/*
 * fsbase: a program may set its fs base to anything, without a system call. fs:
 * accesses of hot code use the base of the moment; where it points to nothing
 * or into the kernel half, they fault as natively and read nothing.
 */
#include <sys/auxv.h>

#include "ub_regs.h"

/* Sets fs to rdi, makes getppid, reads and writes through it, sets fs back. */
uint64_t through_fs(uint64_t base, uint64_t value);
extern const char through_fs_read[], through_fs_write[], through_fs_done[];
asm(".pushsection .text\n.globl through_fs, through_fs_read, through_fs_write, through_fs_done\n"
    "through_fs:\n push %rbx\n mov %rsi, %rbx\n rdfsbase %r8\n wrfsbase %rdi\n"
    "mov $9, %r9d\n mov $10, %r10d\n mov $12, %edx\n"
    "mov $110, %eax\n syscall\n"
    "mov $110, %eax\n syscall\n"
    "through_fs_read: mov %fs:8, %rdx\n"
    "through_fs_write: mov %rbx, %fs:16\n"
    "lea (%rdx,%rbx), %rax\n"
    "through_fs_done: wrfsbase %r8\n pop %rbx\n ret\n.popsection");

struct result {
	int hot;
	long rounds, wrong;
	struct fault_seen fault[8];
};

static struct result *now;
static uint64_t *block;
static uint64_t bases[8];

/* Only gaps between two getppid and after them count: setting fs is an exit. */
static void loop(void *argument)
{
	for (uint64_t i = 0; i < 300; i++) {
		block[1] = i * 3;
		now->wrong += through_fs((uint64_t)block, i) != i * 4 || block[2] != i;
		now->rounds++;
	}
}

/* errno and the stack protector are in fs: stay out of libc while it is another's. */
static struct fault_seen seen;

static void side(void *argument)
{
	stack_t none = { .ss_flags = SS_DISABLE };

	now->hot = heat_to(loop, NULL, 30);
	loop(NULL);
	fault_install(&seen);
	for (int i = 0; bases[i]; i++) {
		memset(&seen, 0, sizeof(seen));
		rig_resume = (uint64_t)through_fs_done;
		through_fs(bases[i], 5);
		now->fault[i] = seen;
		now->wrong += seen.signal == 0;
		loop(NULL);
	}
	sigaltstack(&none, NULL);
}

int main(void)
{
	struct result *results = shared(2 * sizeof(*results));
	int i;

	test_begin();
	if (!(getauxval(AT_HWCAP2) & 2)) {
		skip("no wrfsbase here", "fs base");
		return test_end();
	}
	block = shared(4096);
	bases[0] = (uint64_t)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bases[1] = 0x1000;
	bases[2] = 0x00007ffffffff000 - 8;
	bases[3] = 0xffff888000100000;
	bases[4] = 0xffffffff81000000;
	bases[5] = -16ul;
	bases[6] = 0xff11000000100000;
	sides_begin();
	for_each_side(s) {
		int status;

		now = &results[s];
		status = side_run(s, side, NULL);
		ok(child_ok(status) && now->hot && !now->wrong, "%s: fs base set anew each round "
		   "(%ld rounds, %ld wrong, status %#x%s)", side_name(s), now->rounds, now->wrong, status,
		   now->hot ? "" : ", not hot");
	}
	for (i = 0; bases[i]; i++)
		ok(fault_equal(&results[NATIVE].fault[i], &results[HOT].fault[i]),
		   "fs base %#lx faults as natively", bases[i]);
	sides_end();
	return test_end();
}
