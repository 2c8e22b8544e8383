/* SPDX-License-Identifier: GPL-2.0 */
/*
 * arena.S - the address space that images run in
 *
 * A section of the module without contents, so that it lies within 2 GiB of the
 * module's text, is mapped by the module loader, and its addresses are the module's
 * when the kernel looks for an exception entry. It is assembled as plain read-only
 * storage: objtool would otherwise disassemble 16 MiB of nothing. scripts/mark-arena
 * makes it executable in the finished module; the loader then maps it read-only and
 * executable, which ubk_codemem_init() checks. codemem.c alone writes to it.
 */
#include "kernel/arena.h"

	.section .ub_arena, "a", @nobits
	.balign 4096
	.globl ubk_arena
	.type ubk_arena, @object
ubk_arena:
	.skip UBK_ARENA_BYTES
	.size ubk_arena, . - ubk_arena
