/* SPDX-License-Identifier: GPL-2.0 */
/*
 * trace.h - the trace events of system `ub`: what becomes of a site, from getting hot
 * over translation and publishing to retirement, and every exit from a gap. Addresses
 * are user addresses, but `code`, which is where the translation lies in the arena.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ub

#if !defined(UBK_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define UBK_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(ub_site_hot,
	TP_PROTO(unsigned long ip, unsigned long gap_ns),
	TP_ARGS(ip, gap_ns),
	TP_STRUCT__entry(
		__field(unsigned long, ip)
		__field(unsigned long, gap_ns)
	),
	TP_fast_assign(
		__entry->ip = ip;
		__entry->gap_ns = gap_ns;
	),
	TP_printk("ip=%#lx gap_ns=%lu", __entry->ip, __entry->gap_ns)
);

TRACE_EVENT(ub_translate,
	TP_PROTO(unsigned long ip, unsigned int instructions, unsigned int bytes, const char *result),
	TP_ARGS(ip, instructions, bytes, result),
	TP_STRUCT__entry(
		__field(unsigned long, ip)
		__field(unsigned int, instructions)
		__field(unsigned int, bytes)
		__array(char, result, 24)
	),
	TP_fast_assign(
		__entry->ip = ip;
		__entry->instructions = instructions;
		__entry->bytes = bytes;
		strscpy(__entry->result, result, sizeof(__entry->result));
	),
	TP_printk("ip=%#lx instructions=%u bytes=%u result=%s", __entry->ip,
		  __entry->instructions, __entry->bytes, __entry->result)
);

TRACE_EVENT(ub_publish,
	TP_PROTO(unsigned long ip, unsigned long code),
	TP_ARGS(ip, code),
	TP_STRUCT__entry(
		__field(unsigned long, ip)
		__field(unsigned long, code)
	),
	TP_fast_assign(
		__entry->ip = ip;
		__entry->code = code;
	),
	TP_printk("ip=%#lx code=%#lx", __entry->ip, __entry->code)
);

TRACE_EVENT(ub_exit,
	TP_PROTO(unsigned long ip, const char *reason),
	TP_ARGS(ip, reason),
	TP_STRUCT__entry(
		__field(unsigned long, ip)
		__array(char, reason, 16)
	),
	TP_fast_assign(
		__entry->ip = ip;
		strscpy(__entry->reason, reason, sizeof(__entry->reason));
	),
	TP_printk("ip=%#lx reason=%s", __entry->ip, __entry->reason)
);

TRACE_EVENT(ub_retire,
	TP_PROTO(unsigned long ip),
	TP_ARGS(ip),
	TP_STRUCT__entry(
		__field(unsigned long, ip)
	),
	TP_fast_assign(
		__entry->ip = ip;
	),
	TP_printk("ip=%#lx", __entry->ip)
);

#endif /* UBK_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
