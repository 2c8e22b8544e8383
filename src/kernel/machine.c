// SPDX-License-Identifier: GPL-2.0
/*
 * machine.c - what the core must know of the CPU and the kernel it runs on, read
 * once before it is initialised.
 */
#include <linux/thread_info.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/processor-flags.h>
#include <asm/special_insns.h>

#include "kernel/compat.h"
#include "kernel/glue.h"
#include "kernel/transient.h"

/* Work that a run must end for. All of it sits in thread_info.flags below bit 32. */
#define POLL_MASK (_TIF_NOTIFY_RESUME | _TIF_SIGPENDING | _TIF_NEED_RESCHED | \
		   _TIF_NOTIFY_SIGNAL | UBK_TIF_NEED_RESCHED_LAZY)
static_assert(POLL_MASK <= U32_MAX);

static bool avx_usable(void)
{
	return boot_cpu_has(X86_FEATURE_AVX) && boot_cpu_has(X86_FEATURE_AVX2) &&
	       boot_cpu_has(X86_FEATURE_BMI1) && boot_cpu_has(X86_FEATURE_BMI2) &&
	       boot_cpu_has(X86_FEATURE_FMA) &&
	       cpu_has_xfeatures(XFEATURE_MASK_SSE | XFEATURE_MASK_YMM, NULL);
}

static bool avx512_usable(void)
{
	return boot_cpu_has(X86_FEATURE_AVX512F) && boot_cpu_has(X86_FEATURE_AVX512BW) &&
	       boot_cpu_has(X86_FEATURE_AVX512DQ) && boot_cpu_has(X86_FEATURE_AVX512VL) &&
	       cpu_has_xfeatures(XFEATURE_MASK_AVX512, NULL);
}

void ubk_machine_fill(struct ub_machine *machine)
{
	*machine = (struct ub_machine) {
		.poll_mask = POLL_MASK,
		.mask_bit = __read_cr4() & X86_CR4_LA57 ? 56 : 47,
		/* The detection is per task and changes at run time: its existence decides. */
		.locked_accesses = !ubk_transient_holds(UBK_TRANSIENT_split_lock),
		.avx = avx_usable(),
		.avx512 = avx_usable() && avx512_usable(),
	};
}
