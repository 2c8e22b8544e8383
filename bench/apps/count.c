// SPDX-License-Identifier: GPL-2.0
/*
 * count.c - a plugin of QEMU's: how many instructions programs execute in user mode
 *
 *	-plugin file=count.so,out=FILE
 *
 * Counted are instructions at user addresses above PROGRAM_END, where all programs lie but
 * those of mark.h. Each time one of these calls bench_mark(), the count so far goes to FILE as
 * a line. What runs translated lies at kernel addresses: by how much the count of
 * the same work falls under ub is how much of it ub took over.
 *
 * QEMU 7.2 comes without the header of its plugin interface; declared here is what is used of
 * version 1 of it.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "mark.h"

#define EXPORT __attribute__((visibility("default")))
#define USER_END (1ull << 47)

struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { INLINE_ADD_U64 };
enum { CB_NO_REGS };

typedef void (*translation_cb)(uint64_t id, struct qemu_plugin_tb *tb);
typedef void (*execution_cb)(unsigned int cpu, void *data);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, translation_cb cb);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, execution_cb cb, int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op, void *counter, uint64_t by);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

static uint64_t counted;
static FILE *out;

static void marked(unsigned int cpu, void *data)
{
	(void)cpu;
	(void)data;
	fprintf(out, "%" PRIu64 "\n", counted);
	fflush(out);
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
	size_t count = qemu_plugin_tb_n_insns(tb);

	(void)id;
	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t address = qemu_plugin_insn_vaddr(insn);

		if (address == MARK_ADDRESS)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, marked, CB_NO_REGS, NULL);
		else if (address >= PROGRAM_END && address < USER_END)
			qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64, &counted, 1);
	}
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4) || !(out = fopen(argv[0] + 4, "w"))) {
		fprintf(stderr, "count: give out=FILE\n");
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
