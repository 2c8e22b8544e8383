// SPDX-License-Identifier: GPL-2.0
/*
 * watch.c - files whose code is translated: told when one may be written
 *
 * Bytes written to a file appear at once in every private mapping of it, and no mmu
 * notifier says so. So the inode of each file that guest code is read from gets an
 * fsnotify mark. When it is opened for writing, or was modified (truncated by name),
 * the file is unmapped from every page table. That is what truncation does; programs do not see it,
 * and mmu notifiers do: mm.c then drops exactly the translations made from the file.
 *
 * Why nothing slips through: a reader puts the mark first and then looks whether a
 * writer has the file open; a writer counts itself first and then looks for marks. One
 * of them sees the other. The mark goes before the unmapping, so who still found it has its
 * translation invalidated by what follows, while it is made or after.
 *
 * A mark keeps no inode alive: it goes when the inode does, and a mapped file's does not.
 * On an overlay the inode that is opened is not the one that is mapped: both are marked.
 */
#include <linux/atomic.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/fsnotify_backend.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "kernel/compat.h"
#include "kernel/glue.h"

static struct fsnotify_group *group;
static atomic_t marks;
static DECLARE_WAIT_QUEUE_HEAD(no_marks);

static bool may_change(const struct inode *inode, u32 event)
{
	return event & FS_MODIFY || atomic_read(&inode->i_writecount) > 0;
}

static void unmap(struct inode *inode)
{
	if (mapping_mapped(inode->i_mapping))
		unmap_mapping_range(inode->i_mapping, 0, 0, 0);
}

/* In the context of who opened, wrote or truncated, before that returns. May sleep. */
static int handle_event(struct fsnotify_group *unused, u32 event, const void *data, int data_type, struct inode *dir,
			const struct qstr *name, u32 cookie, struct fsnotify_iter_info *iter)
{
	struct fsnotify_mark *mark = fsnotify_iter_inode_mark(iter);
	struct inode *inode = fsnotify_data_inode(data, data_type);
	struct dentry *dentry = fsnotify_data_dentry(data, data_type);
	struct inode *real = dentry ? d_real_inode(dentry) : inode;

	if (!mark || !inode || !may_change(inode, event))
		return 0;
	/* Whoever reads code from it again puts another one. */
	fsnotify_destroy_mark(mark, group);
	unmap(inode);
	if (real && real != inode)
		unmap(real);
	return 0;
}

static void free_mark(struct fsnotify_mark *mark)
{
	kfree(mark);
	if (atomic_dec_and_test(&marks))
		wake_up_all(&no_marks);
}

static const struct fsnotify_ops ops = {
	.handle_event = handle_event,
	.free_mark = free_mark,
};

static bool watch(struct inode *inode)
{
	struct fsnotify_mark *mark = ubk_find_inode_mark(inode, group);
	int error = 0;

	if (!mark) {
		mark = kzalloc(sizeof(*mark), GFP_KERNEL);
		if (!mark)
			return false;
		atomic_inc(&marks);
		fsnotify_init_mark(mark, group);
		mark->mask = FS_OPEN | FS_MODIFY;
		mark->flags |= FSNOTIFY_MARK_FLAG_NO_IREF;
		error = fsnotify_add_inode_mark(mark, inode, 0);
	}
	fsnotify_put_mark(mark);
	return !error || error == -EEXIST;
}

bool ubk_watch_file(struct file *file)
{
	struct inode *mapped = file_inode(file), *opened = ubk_opened_inode(file);

	if (!watch(mapped) || (opened != mapped && !watch(opened)))
		return false;
	/* The mark, before the writers are looked at: pairs with the count of a writer that
	 * is open before the event is sent. */
	smp_mb();
	return !may_change(mapped, 0) && !may_change(opened, 0);
}

int ubk_watch_init(void)
{
	group = fsnotify_alloc_group(&ops, UBK_FSNOTIFY_GROUP_FLAGS);
	return PTR_ERR_OR_ZERO(group);
}

/* After the last ubk_watch_file(). */
void ubk_watch_exit(void)
{
	for (;;) {
		struct fsnotify_mark *mark;

		fsnotify_group_lock(group);
		mark = list_first_entry_or_null(&group->marks_list, struct fsnotify_mark, g_list);
		if (mark)
			refcount_inc(&mark->refcnt);
		fsnotify_group_unlock(group);
		if (!mark)
			break;
		fsnotify_destroy_mark(mark, group);
		fsnotify_put_mark(mark);
	}
	/* Freed after a grace period of fsnotify's: then no event is being handled either. */
	wait_event(no_marks, !atomic_read(&marks));
	fsnotify_wait_marks_destroyed();
	fsnotify_put_group(group);
}
