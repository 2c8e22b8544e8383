// SPDX-License-Identifier: GPL-2.0
/* trace.c - makes the trace events of trace.h, and the core's way to them. */
#include <linux/kernel.h>
#include <linux/string.h>

#define CREATE_TRACE_POINTS
#include "kernel/trace.h"

#include "kernel/services.h"

static const char *const exit_reasons[] = {
#define EXIT_REASON(name, key) #key,
#include "exit_reasons.inc"
#undef EXIT_REASON
};

void ubk_trace_site_hot(unsigned long ip, unsigned long gap_ns)
{
	trace_ub_site_hot(ip, gap_ns);
}

void ubk_trace_translate(unsigned long ip, unsigned int instructions, unsigned int bytes,
			 const char *result)
{
	trace_ub_translate(ip, instructions, bytes, result);
}

void ubk_trace_publish(unsigned long ip, unsigned long code)
{
	trace_ub_publish(ip, code);
}

void ubk_trace_exit(unsigned long ip, unsigned int reason)
{
	trace_ub_exit(ip, reason < ARRAY_SIZE(exit_reasons) ? exit_reasons[reason] : "?");
}

void ubk_trace_retire(unsigned long ip)
{
	trace_ub_retire(ip);
}
