// SPDX-License-Identifier: GPL-2.0
/*
 * codemem.c - code memory: the arena of arena.S, handed out by pages. Trusted.
 *
 * The arena is mapped read-only and executable for as long as the module is there.
 * Bytes get in through an alias, made for one write, writable and not executable,
 * and gone from every CPU's TLB when the write returns: no address is ever both,
 * and what the verifier reads through the executable mapping cannot change any more.
 *
 * Every byte that is no image's is an int3 (an exit with a report, where there is no
 * exception entry for it): filled at load, and again when pages are given back.
 *
 * ubk_code_lock protects the bitmaps. A reserved page belongs to who reserved it; its
 * bytes need no lock.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/vmalloc.h>

#include "kernel/arena.h"
#include "kernel/glue.h"

#define ARENA_PAGES	(UBK_ARENA_BYTES / PAGE_SIZE)
/* Pages one alias maps at most: its page pointers are on the stack. */
#define ALIAS_PAGES	32
#define INT3		0xcc

extern const u8 ubk_arena[UBK_ARENA_BYTES];

static DEFINE_MUTEX(ubk_code_lock);
static DECLARE_BITMAP(reserved, ARENA_PAGES);
static DECLARE_BITMAP(written, ARENA_PAGES);	/* may hold something else than int3 */

static bool in_arena(unsigned long address, unsigned long bytes)
{
	unsigned long offset = address - (unsigned long)ubk_arena;

	return offset <= UBK_ARENA_BYTES && bytes <= UBK_ARENA_BYTES - offset;
}

static unsigned long page_number(unsigned long address)
{
	return (address - (unsigned long)ubk_arena) >> PAGE_SHIFT;
}

/* Writes @count bytes at @address, or int3 where @bytes is null. May sleep. */
static int write_through_alias(unsigned long address, const u8 *bytes, unsigned long count)
{
	struct page *pages[ALIAS_PAGES];
	int error = 0;

	while (count) {
		unsigned long offset = offset_in_page(address);
		unsigned long part = min(count, ALIAS_PAGES * PAGE_SIZE - offset);
		unsigned int i, used = PFN_UP(offset + part);
		u8 *alias;

		for (i = 0; i < used; i++)
			pages[i] = vmalloc_to_page((void *)((address & PAGE_MASK) + i * PAGE_SIZE));
		alias = vmap(pages, used, VM_MAP, PAGE_KERNEL);
		if (!alias) {
			error = -ENOMEM;
			break;
		}
		if (bytes)
			memcpy(alias + offset, bytes, part);
		else
			memset(alias + offset, INT3, part);
		vunmap(alias);
		if (bytes)
			bytes += part;
		address += part;
		count -= part;
	}
	/* vunmap() leaves TLB entries for later; here they end now. */
	vm_unmap_aliases();
	return error;
}

unsigned long ubk_code_reserve(unsigned long bytes)
{
	unsigned long pages = PFN_UP(bytes), at;

	if (!bytes || bytes > UBK_ARENA_BYTES)
		return 0;
	mutex_lock(&ubk_code_lock);
	at = bitmap_find_next_zero_area(reserved, ARENA_PAGES, 0, pages, 0);
	if (at < ARENA_PAGES)
		bitmap_set(reserved, at, pages);
	mutex_unlock(&ubk_code_lock);
	return at < ARENA_PAGES ? (unsigned long)ubk_arena + at * PAGE_SIZE : 0;
}

int ubk_code_write(unsigned long address, const void *bytes, unsigned long count)
{
	unsigned long first, pages;
	bool ours;

	if (!count)
		return 0;
	if (WARN_ON_ONCE(!in_arena(address, count)))
		return -EINVAL;
	first = page_number(address);
	pages = page_number(address + count - 1) - first + 1;

	mutex_lock(&ubk_code_lock);
	ours = find_next_zero_bit(reserved, first + pages, first) >= first + pages;
	if (ours)
		bitmap_set(written, first, pages);
	mutex_unlock(&ubk_code_lock);
	if (WARN_ON_ONCE(!ours))
		return -EINVAL;
	return write_through_alias(address, bytes, count);
}

void ubk_code_release(unsigned long address, unsigned long bytes)
{
	unsigned long first = page_number(address), end = first + PFN_UP(bytes), from, to;
	int error = 0;

	if (!bytes || WARN_ON_ONCE(!in_arena(address, bytes) || offset_in_page(address)))
		return;
	mutex_lock(&ubk_code_lock);
	for (from = find_next_bit(written, end, first); from < end && !error; from = find_next_bit(written, end, to)) {
		to = find_next_zero_bit(written, end, from);
		error = write_through_alias((unsigned long)ubk_arena + from * PAGE_SIZE, NULL, (to - from) * PAGE_SIZE);
		if (!error)
			bitmap_clear(written, from, to - from);
	}
	/* Pages that could not be filled are never handed out again: old code stays in them. */
	if (error)
		pr_warn_once("ub: no memory to clear released code; its pages stay unused\n");
	else
		bitmap_clear(reserved, first, end - first);
	mutex_unlock(&ubk_code_lock);
}

void ubk_code_trim(unsigned long address, unsigned long reserved_bytes, unsigned long used)
{
	unsigned long keep = PAGE_ALIGN(used), had = PAGE_ALIGN(reserved_bytes);

	if (keep < had)
		ubk_code_release(address + keep, had - keep);
}

unsigned long ubk_codemem_used(void)
{
	return bitmap_weight(reserved, ARENA_PAGES) * PAGE_SIZE;
}

/* Whether the loader mapped the whole arena read-only and executable. */
static bool mapped_as_code(void)
{
	unsigned long at;

	for (at = 0; at < UBK_ARENA_BYTES; at += PAGE_SIZE) {
		unsigned int level;
		pte_t *pte = lookup_address((unsigned long)ubk_arena + at, &level);

		if (!pte || !(pte_flags(*pte) & _PAGE_PRESENT) || pte_flags(*pte) & (_PAGE_NX | _PAGE_RW))
			return false;
	}
	return true;
}

int ubk_codemem_init(void)
{
	BUILD_BUG_ON(PAGE_SIZE != 4096);	/* arena.S aligns to it */
	if (!mapped_as_code()) {
		pr_err("ub: the code arena is not mapped read-only and executable; was the module built with its Makefile?\n");
		return -ENOEXEC;
	}
	return write_through_alias((unsigned long)ubk_arena, NULL, UBK_ARENA_BYTES);
}

void ubk_codemem_exit(void)
{
	WARN_ON(!bitmap_empty(reserved, ARENA_PAGES));
}
