/* SPDX-License-Identifier: GPL-2.0 */
/*
 * run.h - the door between C++ and an image: ub_enter() in enter.S. The offsets of
 * struct ub_run are known to the assembler. Trusted.
 */
#pragma once

#include "sfi/frame.h"

#define UB_RUN_MASK	0
#define UB_RUN_WORK	8
#define UB_RUN_FSBASE	16
#define UB_RUN_TARGET	24

#ifndef __ASSEMBLER__
#include "core.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a run needs beside the user's registers, and what it hands back. */
struct ub_run {
	unsigned long mask;		/* ~(1 << mask_bit) */
	const unsigned long *work;	/* the thread's work flags */
	unsigned long fs_base;		/* the user's, range-checked */
	unsigned long target;		/* out: where a missed indirect branch wanted to go, else 0 */
};

/**
 * ub_enter - run an image until one of its exits
 * @regs: the user's registers: loaded, and stored again at the exit, but ip and orig_ax;
 *        sp must be in the user half
 * @code: the image's first byte
 * Context: inside ubk_run_begin()/_end(). Return: the number of the exit taken.
 */
unsigned int ub_enter(struct ub_regs *regs, unsigned long code, struct ub_run *run);

/* Where exit stubs jump; not a function. */
extern const char ub_leave[];

#ifdef __cplusplus
}
#endif
#endif
