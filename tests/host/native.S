/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Running guest code on the CPU itself, and images with vector state: the two sides
 * of the differential harness (guest.cc). Both load the vector registers before and
 * save them after, so that the same compare serves both.
 *
 * native_run: loads all registers and flags from a struct ub_regs and jumps to its ip.
 * The code is ended by a signal; the handler stores the registers and sends the
 * thread to native_return on the stack it had.
 */
#include "runtime/run.h"

#define R15	0
#define R14	8
#define R13	16
#define R12	24
#define RBP	32
#define RBX	40
#define R11	48
#define R10	56
#define R9	64
#define R8	72
#define RAX	80
#define RCX	88
#define RDX	96
#define RSI	104
#define RDI	112
#define RIP	128
#define FLAGS	144
#define RSP	152

	.bss
	.globl	native_stack, vector_mask
native_stack:	.quad 0
native_ip:	.quad 0
native_vectors:	.quad 0
	.data
vector_mask:	.long 0		/* XCR0 without x87 and what is no vector register */

default_mxcsr:	.long 0x1f80
	.text
.macro SAVE_CALLEE_SAVED
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
.endm
.macro RESTORE_CALLEE_SAVED
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
.endm
/* From and to the XSAVE area in \area, eax and edx lost. */
.macro LOAD_VECTORS area
	mov	vector_mask(%rip), %eax
	xor	%edx, %edx
	xrstor64 (\area)
.endm
.macro SAVE_VECTORS area
	mov	vector_mask(%rip), %eax
	xor	%edx, %edx
	xsave64	(\area)
	vzeroupper
	ldmxcsr	default_mxcsr(%rip)
.endm

/* void native_run(const struct ub_regs *regs, void *vectors) */
	.globl	native_run, native_return
	.type	native_run, @function
native_run:
	SAVE_CALLEE_SAVED
	mov	%rsp, native_stack(%rip)
	mov	%rsi, native_vectors(%rip)
	LOAD_VECTORS %rsi
	mov	RIP(%rdi), %rax
	mov	%rax, native_ip(%rip)
	push	FLAGS(%rdi)
	popfq
	mov	R15(%rdi), %r15
	mov	R14(%rdi), %r14
	mov	R13(%rdi), %r13
	mov	R12(%rdi), %r12
	mov	R11(%rdi), %r11
	mov	R10(%rdi), %r10
	mov	R9(%rdi), %r9
	mov	R8(%rdi), %r8
	mov	RBP(%rdi), %rbp
	mov	RBX(%rdi), %rbx
	mov	RAX(%rdi), %rax
	mov	RCX(%rdi), %rcx
	mov	RDX(%rdi), %rdx
	mov	RSI(%rdi), %rsi
	mov	RSP(%rdi), %rsp
	mov	RDI(%rdi), %rdi
	jmp	*native_ip(%rip)
native_return:
	mov	native_vectors(%rip), %rcx
	SAVE_VECTORS %rcx
	RESTORE_CALLEE_SAVED
	ret
	.size	native_run, . - native_run

/* unsigned int image_run(struct ub_regs *regs, unsigned long code, struct ub_run *run, void *vectors) */
	.globl	image_run
	.type	image_run, @function
image_run:
	push	%rbx
	mov	%rcx, %rbx
	mov	%rdx, %r8
	LOAD_VECTORS %rbx
	mov	%r8, %rdx
	call	ub_enter
	mov	%eax, %ecx
	SAVE_VECTORS %rbx
	mov	%ecx, %eax
	pop	%rbx
	ret
	.size	image_run, . - image_run

	.section .note.GNU-stack, "", @progbits
