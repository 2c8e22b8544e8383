// SPDX-License-Identifier: GPL-2.0
/*
 * sites.c - ub.sites in debugfs: a line for each site of each enabled address space
 *
 *	COMM PID FILE+OFFSET KEY=VALUE...
 *
 * The process is the one the address space belongs to, the place is where the gap
 * begins, `chained` counts a chain's calls at the site the chain ended at, and the
 * keys instruction to budget say why runs left inside the gap. Times are medians of
 * the last samples, 0 where there is none. It shows addresses' places, so it is root's.
 */
#include <linux/cgroup.h>
#include <linux/debugfs.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>

#include "kernel/glue.h"

/* What would end a word of a line. */
#define BLANKS " \t\n\\"

static struct dentry *file;

/* One space's, copied while it cannot go away. */
struct snapshot {
	struct mm_struct *mm;		/* used by us */
	unsigned int count;
	struct ub_site sites[UB_SITES_MAX];
};

/* Return: whether there is a space at that place; ->mm is NULL where its process has ended. */
static bool take(struct snapshot *snapshot, loff_t place)
{
	struct ubk_stat_space *entry;

	snapshot->mm = NULL;
	spin_lock(&ubk_stat_lock);
	entry = ubk_stat_space_at(place);
	if (entry && mmget_not_zero(entry->mm)) {
		snapshot->mm = entry->mm;
		snapshot->count = ub_space_sites(entry->space, snapshot->sites);
	}
	spin_unlock(&ubk_stat_lock);
	return entry;
}

static void show_process(struct seq_file *seq, struct mm_struct *mm)
{
	char comm[TASK_COMM_LEN] = "-";
	pid_t pid = 0;
#ifdef CONFIG_MEMCG
	struct task_struct *owner;

	rcu_read_lock();
	owner = rcu_dereference(mm->owner);
	if (owner) {
		get_task_comm(comm, owner);
		pid = task_tgid_nr(owner);
	}
	rcu_read_unlock();
#endif
	seq_escape(seq, comm, BLANKS);
	seq_printf(seq, " %d ", pid);
}

/* mmap_lock held. */
static void show_place(struct seq_file *seq, struct mm_struct *mm, unsigned long at)
{
	const struct vm_area_struct *vma = vma_lookup(mm, at);

	if (vma && vma->vm_file) {
		seq_file_path(seq, vma->vm_file, BLANKS);
		at -= vma->vm_start - (vma->vm_pgoff << PAGE_SHIFT);
	} else {
		seq_puts(seq, "[none]");
	}
	seq_printf(seq, "+%#lx", at);
}

static void show_site(struct seq_file *seq, struct mm_struct *mm, const struct ub_site *site)
{
	show_process(seq, mm);
	show_place(seq, mm, site->start);
	seq_printf(seq, " syscall=%d samples=%u rounds=%u learned=%u explored=%u chained=%lu", site->syscall, site->samples,
		   site->rounds, site->learned, site->explored, site->chained);
#define EXIT_REASON(name, key)							\
	if (UB_COUNT_exit_##key != UB_COUNT_exit_syscall)			\
		seq_printf(seq, " " #key "=%lu", site->exits[UB_COUNT_exit_##key - UB_COUNT_exit_syscall]);
#include "exit_reasons.inc"
#undef EXIT_REASON
	seq_printf(seq, " native_ns=%u translated_ns=%u verdict=%s\n", site->native_ns, site->translated_ns,
		   site->verdict);
}

static void *sites_start(struct seq_file *seq, loff_t *place)
{
	struct snapshot *snapshot = seq->private;

	return take(snapshot, *place) ? snapshot : NULL;
}

static void drop(struct snapshot *snapshot)
{
	if (snapshot->mm)
		mmput(snapshot->mm);
	snapshot->mm = NULL;
}

static void *sites_next(struct seq_file *seq, void *element, loff_t *place)
{
	drop(element);
	++*place;
	return sites_start(seq, place);
}

static void sites_stop(struct seq_file *seq, void *element)
{
	drop(seq->private);
}

static int sites_show(struct seq_file *seq, void *element)
{
	const struct snapshot *snapshot = element;
	unsigned int i;

	if (!snapshot->mm)
		return 0;
	mmap_read_lock(snapshot->mm);
	for (i = 0; i < snapshot->count; i++)
		show_site(seq, snapshot->mm, &snapshot->sites[i]);
	mmap_read_unlock(snapshot->mm);
	return 0;
}

static const struct seq_operations sites_operations = {
	.start = sites_start,
	.next = sites_next,
	.stop = sites_stop,
	.show = sites_show,
};

static int sites_open(struct inode *inode, struct file *opened)
{
	struct snapshot *snapshot = kvmalloc(sizeof(*snapshot), GFP_KERNEL);
	int error;

	if (!snapshot)
		return -ENOMEM;
	snapshot->mm = NULL;
	error = seq_open(opened, &sites_operations);
	if (error)
		kvfree(snapshot);
	else
		((struct seq_file *)opened->private_data)->private = snapshot;
	return error;
}

static int sites_release(struct inode *inode, struct file *opened)
{
	kvfree(((struct seq_file *)opened->private_data)->private);
	return seq_release(inode, opened);
}

static const struct file_operations sites_file = {
	.owner = THIS_MODULE,
	.open = sites_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = sites_release,
};

void ubk_sites_init(void)
{
	file = debugfs_create_file("ub.sites", 0400, NULL, NULL, &sites_file);
}

void ubk_sites_exit(void)
{
	debugfs_remove(file);
}
