/* SPDX-License-Identifier: GPL-2.0 */
/*
 * history.S - clears the branch history that an image has left, before any indirect branch
 * of the kernel is predicted by it. Called by ub_leave, which calls it as a static call: the row
 * of transient.inc that holds decides which, and where none does the call is a no-op. Trusted.
 *
 * The same is done behind programs of the kernel's classic BPF, whose branches are
 * the user's choice, too. The fence, IBHF, is a no-op to CPUs that do not know it, and is
 * what counts where the loop does not, under hypervisors on newer CPUs.
 *
 * rsi and rdi are kept; rax and rcx are not.
 */
#include <linux/linkage.h>
#include <asm/nospec-branch.h>

	.text

.macro IBHF
	.byte 0xf3, 0x48, 0x0f, 0x1e, 0xf8
.endm

SYM_FUNC_START(ubk_history_loop)
	call	clear_bhb_loop
	IBHF
	RET
SYM_FUNC_END(ubk_history_loop)

SYM_FUNC_START(ubk_history_fence)
	IBHF
	RET
SYM_FUNC_END(ubk_history_fence)
