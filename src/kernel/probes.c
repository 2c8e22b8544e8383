// SPDX-License-Identifier: GPL-2.0
/*
 * probes.c - registers probes by the tracepoint's name. The tracepoints the glue
 * needs (fork, exec, exit, cgroup moves) are not exported, walking all of them is.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/tracepoint.h>

#include "kernel/probes.h"

struct search {
	struct ubk_probe *probes;
	unsigned int count;
};

static void match(struct tracepoint *tracepoint, void *data)
{
	struct search *search = data;
	unsigned int i;

	for (i = 0; i < search->count; i++)
		if (!strcmp(tracepoint->name, search->probes[i].name))
			search->probes[i].tracepoint = tracepoint;
}

int ubk_probes_add(struct ubk_probe *probes, unsigned int count)
{
	struct search search = { probes, count };
	unsigned int i;
	int error = 0;

	for_each_kernel_tracepoint(match, &search);
	for (i = 0; i < count; i++) {
		error = probes[i].tracepoint ?
			tracepoint_probe_register(probes[i].tracepoint, probes[i].function, NULL) :
			-ENOENT;
		if (error) {
			pr_err("not loading: no probe on tracepoint %s (%d)\n", probes[i].name, error);
			break;
		}
	}
	if (error) {
		for (; i < count; i++)
			probes[i].tracepoint = NULL;
		ubk_probes_remove(probes, count);
		tracepoint_synchronize_unregister();
	}
	return error;
}

void ubk_probes_remove(struct ubk_probe *probes, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (probes[i].tracepoint)
			tracepoint_probe_unregister(probes[i].tracepoint, probes[i].function, NULL);
		probes[i].tracepoint = NULL;
	}
}
