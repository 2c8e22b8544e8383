/* SPDX-License-Identifier: GPL-2.0 */
/* mark.h - bench_mark(): a function at a known address. Who counts the guest's instructions
 * (count.c) sees by its execution where a measured part begins and ends. */
#ifndef MARK_H
#define MARK_H

#define MARK_ADDRESS	0x10000000	/* the Makefile puts the section there */
#define PROGRAM_END	0x20000000	/* the programs that mark lie below, all others above */

__attribute__((noipa, unused, section(".mark"))) static void bench_mark(void)
{
	__asm__ volatile("");
}

#endif
