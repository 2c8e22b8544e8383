/* SPDX-License-Identifier: GPL-2.0 */
/*
 * enter.S - into images and out of them. Trusted.
 *
 * ub_enter builds the frame of sfi/frame.h on the kernel stack, loads the user's
 * arithmetic flags together with the one that opens user memory (SMAP's AC), and the
 * user's registers, and jumps to the image.
 * Exit stubs jump to ub_leave with the exit's number in r9d: it closes user memory,
 * stores the user's registers and flags, clears what the user left in registers, and
 * asks ubk_next_image() for the image to go on with, until there is none.
 *
 * The unwinder stops in an image, but finds its way through the call of ubk_next_image(),
 * under which the thread sleeps in system calls.
 *
 * The same file is assembled for user space, where tests run images in process.
 */
#include "runtime/run.h"

#ifdef __KERNEL__
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/nospec-branch.h>
#include <asm/processor-flags.h>
#include <asm/smap.h>
#include <asm/unwind_hints.h>
#include <linux/objtool.h>
#include "kernel/compat.h"
/* As stac, for flags on the stack. One change of AC is slow enough. */
#define OPEN_USER_MEMORY ALTERNATIVE "", __stringify(orl $X86_EFLAGS_AC, (%rsp)), X86_FEATURE_SMAP
/* A static call (kernel/transient.c): a no-op but on some CPUs. Keeps rsi and rdi. */
#define CLEAR_HISTORY call __SCT__ubk_clear_history
#else
#define SYM_CODE_START(name) .globl name; .type name, @function; name:
#define SYM_CODE_END(name) .size name, . - name
#define SYM_INNER_LABEL(name, linkage) .globl name; name:
#define UBK_UNWIND_STOPS
.macro UBK_UNWIND_FRAME bytes:req
.endm
#define ANNOTATE_NOENDBR
#define OPEN_USER_MEMORY
#define CLEAR_HISTORY
#define ASM_CLAC
#define RET ret
.macro JMP_NOSPEC reg:req
	jmp	*%\reg
.endm
#endif

/* struct ub_regs */
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
#define FLAGS	144
#define RSP	152

/* From where rsp is between two images to what lies above the frame. */
#define UB_ABOVE_FRAME	(UB_FRAME_SIZE - UB_FRAME_SPILL0)

	.text

/* unsigned int ub_enter(struct ub_regs *regs, unsigned long code, struct ub_run *run) */
	.p2align 9			/* in one page, and as few cache lines as can be */
SYM_CODE_START(ub_enter)
	UBK_UNWIND_STOPS
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	$0			/* aligns the stack for ubk_next_image() */
	push	%rdx

	/* The frame's upper part stays for all images, from its top down. */
	push	%rdi			/* UB_FRAME_REGS */
	push	UB_RUN_WORK(%rdx)	/* UB_FRAME_WORK */
	push	UB_RUN_MASK(%rdx)	/* UB_FRAME_MASK */
	push	UB_RUN_FSBASE(%rdx)	/* UB_FRAME_FSBASE */
	push	$0			/* UB_FRAME_TARGET */
	push	$0			/* UB_FRAME_SPILL1 */
	push	$0			/* UB_FRAME_SPILL0 */
	.if UB_FRAME_REGS != 72 || UB_FRAME_WORK != 64 || UB_FRAME_MASK != 56 || UB_FRAME_FSBASE != 48
	.error "the frame is not the one pushed here"
	.endif
	.if UB_FRAME_TARGET != 40 || UB_FRAME_SPILL1 != 32 || UB_FRAME_SPILL0 != 24
	.error "the frame is not the one pushed here"
	.endif
	.if UB_FRAME_R11 != 16 || UB_FRAME_R10 != 8 || UB_FRAME_R9 != 0 || UB_FRAME_SIZE != 80
	.error "the frame is not the one pushed here"
	.endif

	mov	%rsi, %rax
.Lrun:	mov	%rax, %r9
	push	R11(%rdi)		/* UB_FRAME_R11 */
	push	R10(%rdi)		/* UB_FRAME_R10 */
	push	R9(%rdi)		/* UB_FRAME_R9 */
	/* No image begins by misprediction, behind a check of rsp or fs that has failed, and none
	 * reads what was in the frame before these pushes (speculative store bypass). */
	lfence
	push	FLAGS(%rdi)
	OPEN_USER_MEMORY
	popfq
	mov	UB_FRAME_MASK(%rsp), %r10
	mov	RSP(%rdi), %r11
	mov	R15(%rdi), %r15
	mov	R14(%rdi), %r14
	mov	R13(%rdi), %r13
	mov	R12(%rdi), %r12
	mov	RBP(%rdi), %rbp
	mov	RBX(%rdi), %rbx
	mov	R8(%rdi), %r8
	mov	RAX(%rdi), %rax
	mov	RCX(%rdi), %rcx
	mov	RDX(%rdi), %rdx
	mov	RSI(%rdi), %rsi
	mov	RDI(%rdi), %rdi
	JMP_NOSPEC r9

	.p2align 4, 0xcc		/* every image's exits jump here */
SYM_INNER_LABEL(ub_leave, SYM_L_GLOBAL)
	UBK_UNWIND_STOPS
	ANNOTATE_NOENDBR		/* images jump here directly; only its address is taken */
	ASM_CLAC			/* first: the flags stored are the user's, without AC */
	mov	UB_FRAME_REGS(%rsp), %r10
	mov	%r15, R15(%r10)
	mov	%r14, R14(%r10)
	mov	%r13, R13(%r10)
	mov	%r12, R12(%r10)
	mov	%rbp, RBP(%r10)
	mov	%rbx, RBX(%r10)
	mov	%r8, R8(%r10)
	mov	%rax, RAX(%r10)
	mov	%rcx, RCX(%r10)
	mov	%rdx, RDX(%r10)
	mov	%rsi, RSI(%r10)
	mov	%rdi, RDI(%r10)
	mov	%r11, RSP(%r10)
	pushfq
	pop	FLAGS(%r10)
	cld
	pop	R9(%r10)
	pop	R10(%r10)
	pop	R11(%r10)

	/* No user value goes on into C in a register. */
	mov	%r9d, %esi
	xor	%eax, %eax
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%ebp, %ebp
	xor	%r8d, %r8d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d
	/* rsp is at UB_FRAME_SPILL0; above the frame: run, the padding, six registers, ip */
	mov	UB_ABOVE_FRAME(%rsp), %rdi
	UBK_UNWIND_FRAME (UB_ABOVE_FRAME + 9 * 8)
	CLEAR_HISTORY
	call	ubk_next_image
	UBK_UNWIND_STOPS
	mov	(UB_FRAME_REGS - UB_FRAME_SPILL0)(%rsp), %rdi
	test	%rax, %rax
	jnz	.Lrun

	mov	(UB_FRAME_TARGET - UB_FRAME_SPILL0)(%rsp), %rcx
	add	$UB_ABOVE_FRAME, %rsp
	pop	%rdx
	mov	%rcx, UB_RUN_TARGET(%rdx)
	mov	UB_RUN_EXIT(%rdx), %eax
	pop	%r15			/* the padding */
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	RET
SYM_CODE_END(ub_enter)

#ifndef __KERNEL__
	.section .note.GNU-stack, "", @progbits
#endif
