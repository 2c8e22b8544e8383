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
};

struct Instance {
	const char *text;
	const uint8_t *begin, *end;
	uint32_t pointers, indexes;	/* registers, a bit each, that hold these */
	uint32_t kinds;
	uint32_t unused;

	std::span<const uint8_t> bytes() const { return {begin, end}; }
};

inline constexpr uint64_t kLowBase = 0x10000000, kHighBase = 0x7a0012340000;

std::span<const Instance> instances();

/* Can this CPU run it, in this guest? */
bool runs_here(const Instance &instance, const Guest &guest);

/* A state in which the instance can run: pointers into the guest's data, small indexes
 * and counts, everything else random. */
State state_for(const Instance &instance, const Guest &guest, Random &random);

/* Random values in all registers and flags, rsp in the stack. */
State random_state(const Guest &guest, Random &random);

/* A bound from the environment: CASES, or the default. */
unsigned int cases(unsigned int by_default);

} // namespace host
