/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The frame: what lies at the physical stack pointer while an image runs. Read by
 * the assembler (runtime/enter.S), the emitter and the verifier; plain macros so
 * that all three share them.
 *
 * Physical registers while an image runs:
 *   rsp  kernel stack, the frame's base; never written by an image
 *   r11  the user's rsp
 *   r10  the address mask ~(1 << mask_bit); may be used as a temporary and is
 *        then reloaded from UB_FRAME_MASK
 *   r9   scratch; at a jump to `leave` the number of the exit taken
 *   the other twelve: the user's own values
 * The user's r9, r10 and r11 live in their frame slots.
 */
#pragma once

/* The user's registers; images read and write them. */
#define UB_FRAME_R9	0
#define UB_FRAME_R10	8
#define UB_FRAME_R11	16
/* Images read and write these; zero at entry. */
#define UB_FRAME_SPILL0	24
#define UB_FRAME_SPILL1	32
/* Where a missed indirect branch wanted to go (a user address); zero at entry. */
#define UB_FRAME_TARGET	40
/* Images only read these: the user's fs base (range-checked at entry), the mask. */
#define UB_FRAME_FSBASE	48
#define UB_FRAME_MASK	56
/* Kernel pointers. WORK (the address of the thread's work flags) is read by the poll
 * sequence alone, REGS by no image. */
#define UB_FRAME_WORK	64
#define UB_FRAME_REGS	72
#define UB_FRAME_SIZE	80
