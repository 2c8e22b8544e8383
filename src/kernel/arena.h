/* SPDX-License-Identifier: GPL-2.0 */
/* The arena's size, for its storage (arena.S) and its bookkeeping (codemem.c). */
#pragma once

#define UBK_ARENA_SHIFT		24
#define UBK_ARENA_BYTES		(1 << UBK_ARENA_SHIFT)
