// SPDX-License-Identifier: GPL-2.0
/*
 * faults.c - exception entries of published images. Trusted.
 *
 * An exception in kernel mode is looked up in the table of the module that holds the
 * instruction. Ours is replaced by one of two larger ones: sorted by instruction, the
 * module's own entries merged in, and filled up with entries for an address where
 * nothing faults, so that the number of entries never changes. A change is made in the
 * table not in force, which then comes in force by one store of a pointer. Readers are
 * exception handlers with preemption off; the other table is not touched again before
 * each of them has ended (an RCU grace period, waited for by the next change).
 *
 * Images come and go often, so a change copies what lies behind the place where the tables begin to
 * differ, and a retired image's entries stay until the next change behind its place. Until then no
 * instruction is there, and an image that comes to lie there takes them away as it is published.
 *
 * One entry type for all: whatever the exception, the thread goes on at the exit stub.
 * MCE_SAFE adds that memory found broken under a load does not panic the machine: the
 * exit leads to user mode, where the same load has the kernel's usual answer.
 */
#include <linux/bitmap.h>
#include <linux/extable.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <asm/extable.h>

#include "kernel/arena.h"
#include "kernel/glue.h"

#define TABLE_ENTRIES	(256 * 1024)

static_assert(sizeof(struct exception_table_entry) == 3 * sizeof(int));
static_assert(offsetof(struct exception_table_entry, insn) == 0);
static_assert(offsetof(struct exception_table_entry, fixup) == 4);
static_assert(offsetof(struct exception_table_entry, data) == 8);
static_assert(EX_TYPE_DEFAULT_MCE_SAFE == 14 && EX_DATA_TYPE_MASK == 0xff);
#ifndef ARCH_HAS_RELATIVE_EXTABLE
#error exception entries are not relative to themselves
#endif

extern const u8 ubk_arena[UBK_ARENA_BYTES];

struct table {
	struct exception_table_entry entry[TABLE_ENTRIES];
	unsigned int used;	/* the rest are fillers */
};

/* All of it: ubk_faults_lock; entries of the one in force are read by anybody. */
static DEFINE_MUTEX(ubk_faults_lock);
static struct table tables[2];
static struct table *in_force;		/* null before the first swap */
static unsigned long filler_address;
static unsigned long swap_state;	/* the grace period begun at the last swap */
static unsigned int alike;		/* so many entries, from the first on, are the same in both */
static DECLARE_BITMAP(live, UBK_ARENA_BYTES / PAGE_SIZE);	/* pages with instructions of published images */

static unsigned long instruction_of(const struct exception_table_entry *entry)
{
	return (unsigned long)&entry->insn + entry->insn;
}

static void set_entry(struct exception_table_entry *entry, unsigned long instruction, unsigned long fixup, int data)
{
	entry->insn = instruction - (unsigned long)&entry->insn;
	entry->fixup = fixup - (unsigned long)&entry->fixup;
	entry->data = data;
}

static void append_copy(struct table *to, const struct exception_table_entry *entry)
{
	set_entry(&to->entry[to->used++], instruction_of(entry), (unsigned long)&entry->fixup + entry->fixup,
		  entry->data);
}

static unsigned long page_of(unsigned long instruction)
{
	return (instruction - (unsigned long)ubk_arena) >> PAGE_SHIFT;
}

/* No image's that was retired. The module's own are outside of the arena. */
static bool is_live(const struct exception_table_entry *entry)
{
	unsigned long page = page_of(instruction_of(entry));

	return page >= UBK_ARENA_BYTES / PAGE_SIZE || test_bit(page, live);
}

/* How many entries of the table in force are before an instruction. */
static unsigned int count_before(unsigned long instruction)
{
	unsigned int low = 0, high = in_force->used;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (instruction_of(&in_force->entry[middle]) < instruction)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The table not in force, nobody reading it any more, with as many of the first entries in use as are
 * @unchanged and there already. @had: how many were before. May sleep. */
static struct table *begin_change(unsigned int unchanged, unsigned int *had)
{
	struct table *next = in_force == &tables[0] ? &tables[1] : &tables[0];

	cond_synchronize_rcu_expedited(swap_state);
	*had = next->used;
	next->used = min(alike, unchanged);
	alike = unchanged;
	return next;
}

/* The same entries of the table in force, but those of retired images. */
static void append_live(struct table *next, unsigned int from, unsigned int end)
{
	for (; from < end; from++) {
		if (is_live(&in_force->entry[from]))
			append_copy(next, &in_force->entry[from]);
		else
			alike = min(alike, next->used);
	}
}

/* @next, which had @had entries in use when the change began, comes in force. */
static void finish_change(struct table *next, unsigned int had)
{
	unsigned int i;

	for (i = next->used; i < had; i++)
		set_entry(&next->entry[i], filler_address, filler_address, EX_TYPE_DEFAULT_MCE_SAFE);
	in_force = next;
	/* The entries, before whoever takes a fault finds them. */
	smp_store_release(&THIS_MODULE->extable, next->entry);
	swap_state = start_poll_synchronize_rcu();
}

static bool entries_are_sound(unsigned long code, const struct ubk_fault_entry *entries, unsigned long count)
{
	unsigned long offset = code - (unsigned long)ubk_arena, i;

	for (i = 0; i < count; i++) {
		if (offset + entries[i].instruction >= UBK_ARENA_BYTES || offset + entries[i].stub >= UBK_ARENA_BYTES)
			return false;
		if (i && entries[i].instruction <= entries[i - 1].instruction)
			return false;
	}
	return offset < UBK_ARENA_BYTES;
}

/* With ubk_faults_lock. */
static void drop_retired(void)
{
	unsigned int had;
	struct table *next = begin_change(0, &had);

	append_live(next, 0, in_force->used);
	finish_change(next, had);
}

int ubk_faults_publish(unsigned long code, const struct ubk_fault_entry *entries, unsigned long count)
{
	unsigned int had, before;
	struct table *next;
	unsigned long i;

	if (WARN_ON_ONCE(!entries_are_sound(code, entries, count)))
		return -EINVAL;
	mutex_lock(&ubk_faults_lock);
	if (count >= TABLE_ENTRIES - in_force->used)
		drop_retired();
	if (count >= TABLE_ENTRIES - in_force->used) {
		mutex_unlock(&ubk_faults_lock);
		return -ENOSPC;
	}
	before = count_before(code);
	next = begin_change(before, &had);
	append_live(next, next->used, before);
	for (i = 0; i < count; i++)
		set_entry(&next->entry[next->used++], code + entries[i].instruction, code + entries[i].stub,
			  EX_TYPE_DEFAULT_MCE_SAFE);
	/* Those of images that were at the same place are not live yet. */
	append_live(next, before, in_force->used);
	for (i = 0; i < count; i++)
		__set_bit(page_of(code + entries[i].instruction), live);
	finish_change(next, had);
	mutex_unlock(&ubk_faults_lock);
	return 0;
}

void ubk_faults_retire(unsigned long code, unsigned long bytes)
{
	mutex_lock(&ubk_faults_lock);
	bitmap_clear(live, page_of(code), PFN_UP(bytes));
	mutex_unlock(&ubk_faults_lock);
}

/* During module init: nothing of ours runs elsewhere, so the pointer and the count of
 * entries may be seen one before the other. */
int ubk_faults_init(void)
{
	struct module *module = THIS_MODULE;
	struct table *first = &tables[0];
	unsigned int i, other;

	/* An address behind all entries where nothing faults: no image reaches the arena's last
	 * byte without a jump before it, and no entry of the module's own lies there. */
	filler_address = (unsigned long)ubk_arena + UBK_ARENA_BYTES - 1;
	for (i = 0; i < module->num_exentries; i++) {
		unsigned long instruction = instruction_of(&module->extable[i]);

		/* The loader trims these later; it looks at the first and the last entry. */
		if (within_module_init(instruction, module))
			continue;
		if (WARN_ON(first->used == TABLE_ENTRIES))
			return -ENOSPC;
		append_copy(first, &module->extable[i]);
		filler_address = max(filler_address, instruction + 1);
	}
	tables[1].used = 0;
	for (other = 0; other < 2; other++)
		for (i = tables[other].used; i < TABLE_ENTRIES; i++)
			set_entry(&tables[other].entry[i], filler_address, filler_address, EX_TYPE_DEFAULT_MCE_SAFE);
	in_force = first;
	/* As in finish_change(): the entries first. */
	smp_store_release(&module->extable, first->entry);
	module->num_exentries = TABLE_ENTRIES;
	swap_state = start_poll_synchronize_rcu();
	return 0;
}

void ubk_faults_exit(void)
{
	WARN_ON(!bitmap_empty(live, UBK_ARENA_BYTES / PAGE_SIZE));
}
