/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pairs of instructions that begin alike, over all opcodes, for cases of what decoders
 * keep of the first when they read the second.
 */
#pragma once

#include "cases.h"

namespace ub::testing {

/* Offsets of the two in `kBytes` bytes. */
inline constexpr uint32_t kFirst = 4, kSecond = 24, kBytes = 48;

struct Random {
	uint64_t state = 1;

	uint8_t byte()
	{
		state = state * 6364136223846793005 + 1442695040888963407;
		return uint8_t(state >> 56);
	}
};

/* Prefix and opcode map of a sample. */
struct Start {
	uint8_t count;
	uint8_t bytes[4];
};

inline constexpr Start kStarts[] = {
	{0, {}},		{1, {0x48}},		{1, {0x41}},		 {1, {0x4d}},
	{1, {0x66}},		{1, {0xf3}},		{1, {0x64}},		 {2, {0x64, 0x48}},
	{1, {0x0f}},		{2, {0x48, 0x0f}},	{2, {0x45, 0x0f}},	 {2, {0x66, 0x0f}},
	{2, {0xf3, 0x0f}},	{2, {0xf2, 0x0f}},	{3, {0x66, 0x41, 0x0f}}, {2, {0xf0, 0x48}},
	{3, {0x66, 0x0f, 0x38}},{3, {0xc4, 0xe2, 0xb3}},{3, {0xc5, 0xf9}},	 {4, {0x62, 0xf1, 0x7d, 0x48}},
	{4, {0x62, 0xf1, 0xfe, 0x28}},{4, {0x62, 0xf3, 0x7d, 0x28}},{3, {0xc4, 0xe3, 0x79}},
};

/* Two instructions that begin alike; some of their later bytes are alike too. */
inline void make_pair(Random &random, const Start &start, uint8_t opcode, uint8_t modrm, uint8_t *bytes)
{
	for (uint32_t i = 0; i < kBytes; i++)
		bytes[i] = random.byte() & 1 ? random.byte() : uint8_t(0);
	for (uint32_t at : {kFirst, kSecond}) {
		for (uint32_t i = 0; i < start.count; i++)
			bytes[at + i] = start.bytes[i];
		bytes[at + start.count] = opcode;
		bytes[at + start.count + 1] = modrm;
	}
}

inline void for_each_pair(struct ub_case *test, void (*check)(struct ub_case *, const uint8_t *bytes))
{
	Random random;
	uint8_t bytes[kBytes];

	for (const Start &start : kStarts) {
		for (uint32_t opcode = 0; opcode < 256; opcode++) {
			for (int sample = 0; sample < 4; sample++) {
				make_pair(random, start, uint8_t(opcode), random.byte(), bytes);
				CHECK_CALL(check(test, bytes));
			}
		}
	}
}

} // namespace ub::testing
