/* SPDX-License-Identifier: GPL-2.0 */
/* probes.h - probes on tracepoints of the kernel that modules cannot link to. */
#pragma once

struct tracepoint;

struct ubk_probe {
	const char *name;
	void *function;			/* (void *data, what the tracepoint passes ...) */
	struct tracepoint *tracepoint;	/* where it is registered, or NULL */
};

/* Registers all of them, or none and says which is missing. May sleep. */
int ubk_probes_add(struct ubk_probe *probes, unsigned int count);
/* They may still be running until tracepoint_synchronize_unregister(). May sleep. */
void ubk_probes_remove(struct ubk_probe *probes, unsigned int count);
