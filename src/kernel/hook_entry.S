/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hook_entry.S - where ftrace sends every call of x64_sys_call() while a cgroup is
 * enabled. Trusted: every system call of the machine passes here.
 *
 *   rdi = regs, esi = nr, 0(%rsp) = into x64_sys_call, 8(%rsp) = into do_syscall_64
 *
 * A task that is not enabled goes on into the body: a compare, a branch, a return.
 * For an enabled one the C handler takes the place of x64_sys_call: it calls the
 * body itself and returns to do_syscall_64 what that stores in regs->ax.
 */
#include <linux/linkage.h>
#include <asm/ibt.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/unwind_hints.h>

	.text
SYM_FUNC_START(ubk_hook_entry)
	ENDBR
	cmpq	$0, PER_CPU_VAR(ubk_current)
	jne	1f
	RET
1:	addq	$8, %rsp
	UNWIND_HINT_FUNC
	jmp	ubk_hook_syscall
SYM_FUNC_END(ubk_hook_entry)
