/* SPDX-License-Identifier: GPL-2.0 */
/* Instances of instruction forms, assembled at build time: the table instructions.py writes. */
#pragma once

#include <cstdint>
#include <span>

#include "guest.h"

namespace host {

/* What an instance needs of its state; as in instructions.py. */
enum InstanceKind : uint32_t {
	kLow = 1,	/* names absolute or rip-relative data of a guest at kLowBase */
	kDivides = 2,	/* the dividend's upper half decides whether it faults */
	kCounts = 4,	/* rcx is a repeat count */
	kTls = 8,	/* names ub_tls_scratch by fs: */
	kStack = 16,	/* changes rsp */
	kAvx = 32,	/* needs AVX2 */
	kAvx512 = 64,	/* needs AVX-512 F, BW, DQ, VL */
	kRow = 128,	/* added from the rule table's rows: one of many alike */
	kVaries = 256,	/* no two runs give the same results */
};

struct Instance {
	const char *text;
	const char *form;	/* the text with kinds of operands in place of operands */
	const uint8_t *begin, *end;
	uint32_t pointers, indexes;	/* registers, a bit each, that hold these */
	uint32_t kinds;
	uint32_t unused;

	std::span<const uint8_t> bytes() const { return {begin, end}; }
};

inline constexpr uint64_t kLowBase = 0x10000000, kHighBase = 0x7a0012340000;

std::span<const Instance> instances();

/* Does what it names exist, in this guest and on this CPU? */
bool fits(const Instance &instance, const Guest &guest);
/* Is it an instruction on this CPU? If not it raises #UD, which an image has to survive. */
bool is_known_here(const Instance &instance);

/* The ways to choose a state for an instance. */
enum class Variant {
	kGood,		/* pointers into the guest's data */
	kBadPointer,	/* one of them points where an access faults */
	kStraddle,	/* one of them points to the mapped data's end */
	kBadStack,	/* rsp does, of those that use it */
	kUnmasked,	/* SIMD exceptions are on */
};
inline constexpr unsigned int kVariants = 5;

/* Changes a state made by state_for(); false when the instance has no such variant. */
bool vary(Variant variant, const Guest &guest, const Instance &instance, State &state, Random &random);

/* Makes the instance the guest's code: it, then, if flags are to be dead behind it, what
 * writes them all, then a syscall. */
void set_code(Guest &guest, const Instance &instance, bool flags_live);

/* A state in which the instance can run: pointers into the guest's data, small indexes
 * and counts, everything else random. */
State state_for(const Instance &instance, const Guest &guest, Random &random);

/* Random values in all registers and flags, rsp in the stack. */
State random_state(const Guest &guest, Random &random);

/* A bound from the environment: CASES, or the default. */
unsigned int cases(unsigned int by_default);

} // namespace host
