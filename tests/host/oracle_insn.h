/* SPDX-License-Identifier: GPL-2.0 */
/* What the oracle keeps of an instruction: Capstone's word on it, in a few fields. */
#pragma once

#include <cstdint>
#include <string>

#include <capstone/capstone.h>

namespace host {

/* General registers by number; others have none. */
inline constexpr int kNoGpr = -1, kRipGpr = -2, kOtherRegister = -3;

struct OracleInsn {
	enum Does : uint8_t {
		kHavoc,		/* written registers get any value */
		kMove,		/* to = from */
		kConstant,	/* to = value */
		kLea,
		kAnd,		/* to &= from */
		kDeposit,	/* to = pdep(from, mask) */
		kResetBit,	/* to &= ~(1 << value) */
		kAdd,		/* to += value */
		kLoad,		/* to = memory */
		kStore,		/* memory = from */
		kJump,		/* to offset + length + value */
		kBranch,
	};

	bool readable = false;
	const char *forbidden = nullptr;	/* has no place in an image, and why */
	Does does = kHavoc;
	uint8_t length = 0;
	uint8_t to_bytes = 0;		/* of the register written */
	int8_t to = kNoGpr, from = kNoGpr, mask = kNoGpr;
	int64_t value = 0;
	uint16_t reads = 0, writes = 0;	/* sets of general registers; reads include those of addresses */
	uint16_t writes32 = 0;		/* of `writes`: zero-extended from 32 bits or fewer */
	bool raises = false;		/* without touching memory */

	bool access = false;		/* memory is touched (prefetched, too) */
	bool hint = false;		/* and cannot raise */
	bool stores = false;
	bool fs = false;
	bool address32 = false;
	int8_t base = kNoGpr, index = kNoGpr;
	uint8_t scale = 1;
	uint8_t bytes = 0;		/* of the access */
	int64_t displacement = 0;

	std::string text;
};

/* One instruction, from Capstone's record of it decoded at address 0. */
OracleInsn oracle_insn(csh capstone, const cs_insn &insn);

} // namespace host
