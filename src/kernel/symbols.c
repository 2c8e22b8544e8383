// SPDX-License-Identifier: GPL-2.0
/*
 * symbols.c - finds the symbols of symbols.h by name, once, when the module loads.
 *
 * kallsyms_lookup_name() itself is not exported; a kprobe on it tells where it is.
 * The probe is gone again before anything else happens.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kprobes.h>

#include "kernel/symbols.h"

typedef unsigned long ubk_type_kallsyms_lookup_name(const char *name);
DEFINE_STATIC_CALL_NULL(ubk_kallsyms_lookup_name, ubk_type_kallsyms_lookup_name);

#define UBK_SYMBOL_FUNCTION(name, need, type, arguments, why)	\
	DEFINE_STATIC_CALL_NULL(ubk_##name, ubk_type_##name);
#define UBK_SYMBOL_ADDRESS(name, need, why)
UBK_SYMBOLS(UBK_SYMBOL_FUNCTION, UBK_SYMBOL_ADDRESS)
#undef UBK_SYMBOL_FUNCTION
#undef UBK_SYMBOL_ADDRESS

struct ubk_symbol_addresses ubk_symbol_addresses __ro_after_init;

enum need { OPTIONAL, REQUIRED };

static __init int find(const char *name, enum need need, const char *why, unsigned long *address)
{
	*address = static_call(ubk_kallsyms_lookup_name)(name);
	if (*address || need == OPTIONAL)
		return 0;
	pr_err("not loading: this kernel has no symbol %s (%s)\n", name, why);
	return -ENOENT;
}

static __init int find_kallsyms(void)
{
	struct kprobe probe = { .symbol_name = "kallsyms_lookup_name" };
	int error = register_kprobe(&probe);

	if (error) {
		pr_err("not loading: kallsyms_lookup_name cannot be found by a kprobe (%d)\n", error);
		return error;
	}
	static_call_update(ubk_kallsyms_lookup_name, (ubk_type_kallsyms_lookup_name *)probe.addr);
	unregister_kprobe(&probe);
	return 0;
}

int __init ubk_symbols_init(void)
{
	int error = find_kallsyms();

	if (error)
		return error;

#define UBK_SYMBOL_ADDRESS(name, need, why)					\
	error = find(#name, need, why, &ubk_symbol_addresses.name);		\
	if (error)								\
		return error;
#define UBK_SYMBOL_FUNCTION(name, need, type, arguments, why)			\
	UBK_SYMBOL_ADDRESS(name, need, why)					\
	if (ubk_symbol_addresses.name)						\
		static_call_update(ubk_##name, (ubk_type_##name *)ubk_symbol_addresses.name);
	UBK_SYMBOLS(UBK_SYMBOL_FUNCTION, UBK_SYMBOL_ADDRESS)
#undef UBK_SYMBOL_FUNCTION
#undef UBK_SYMBOL_ADDRESS
	return 0;
}
