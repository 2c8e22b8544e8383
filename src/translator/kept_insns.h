/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KeptInsns: decoded instructions by their first bytes, a part of the decoder. Most
 * instructions of a region differ from an earlier one in address, displacement and
 * immediate only; these three the decoder puts into a copy. What was kept serves later
 * attempts too; of several at a time one has it, the others begin with nothing.
 */
#pragma once

#include <Zydis/DecoderTypes.h>

#include "base/spread.h"
#include "translator/insn.h"

namespace ub::translator {

/* An immediate in an instruction's bytes. */
struct ImmediateField {
	uint8_t at = 0;
	uint8_t bytes = 0;
	bool is_signed = false;
	bool relative = false;		/* to the next instruction */
};

struct KeptInsn {
	uint64_t head = 0;		/* the bytes that make an instruction this one, little-endian */
	uint64_t head_mask = 0;
	ImmediateField immediate;
	Insn insn;

	/* Makes a copy of `insn`, given its address and bytes, the one that stands there. */
	void place(Insn &copy) const;
};

/* What of an instruction is in the bytes before its displacement and immediate; in all of
 * them if the immediate decides more than its own value, as a shift's count does. */
void find_head(const ZydisDecodedInstruction &z, const ZydisDecodedOperand *operands, const uint8_t *bytes,
	       bool immediate_decides, KeptInsn &kept);

class KeptInsns {
public:
	KeptInsns() = default;
	KeptInsns(const KeptInsns &) = delete;
	KeptInsns &operator=(const KeptInsns &) = delete;

	/* `head` is the instruction's first eight bytes. Null: nothing like it was kept. */
	const KeptInsn *find(uint64_t head) const
	{
		for (uint32_t i = first_place(head); places_[i]; i = (i + 1) % kPlaces) {
			const KeptInsn &kept = at(places_[i] - 1u);
			if ((head & kept.head_mask) == kept.head)
				return &kept;
		}
		return nullptr;
	}

	void keep(uint64_t head, const KeptInsn &insn)
	{
		uint32_t i = first_place(head);

		if (count_ == kMax)
			return;
		while (places_[i])
			i = (i + 1) % kPlaces;
		new (&at(count_)) KeptInsn(insn);
		places_[i] = ++count_;
	}

	/* Before an attempt: makes room where there is little left. */
	void refresh()
	{
		if (count_ <= kMax / 4 * 3)
			return;
		count_ = 0;
		__builtin_memset(places_, 0, sizeof(places_));
	}

	/* The one that serves all attempts, or null while another has it. */
	static KeptInsns *borrow();
	void give_back();

private:
	static constexpr uint32_t kMax = 3000;
	static constexpr uint32_t kPlaces = 8192;	/* a power of 2 */
	static_assert(kMax < kPlaces);

	/* By opcode and ModRM, or as many bytes: what else differs is told apart by the mask. */
	static uint32_t first_place(uint64_t head)
	{
		uint64_t bytes = head;

		if ((bytes & 0xff) == 0x66 || (bytes & 0xff) == 0xf3 || (bytes & 0xff) == 0xf2)
			bytes >>= 8;
		if ((bytes & 0xf0) == 0x40)
			bytes >>= 8;
		const bool escaped = (bytes & 0xff) == 0x0f;
		if (escaped)
			bytes >>= 8;
		const uint8_t row = bytes & 0xf0, opcode = bytes & 0xff;
		const bool alone = escaped ? row == 0x80
					   : row == 0x50 || row == 0x70 || row == 0xb0 || (opcode & 0xfc) == 0xe8;
		const uint64_t key = (bytes & (alone ? 0xff : 0xffff)) | uint64_t(escaped) << 16 | (head & 0xff) << 17;
		return uint32_t(spread(key) >> 51) % kPlaces;
	}

	KeptInsn &at(uint32_t i) { return reinterpret_cast<KeptInsn *>(kept_)[i]; }
	const KeptInsn &at(uint32_t i) const { return reinterpret_cast<const KeptInsn *>(kept_)[i]; }

	alignas(KeptInsn) uint8_t kept_[kMax * sizeof(KeptInsn)] = {};
	uint16_t places_[kPlaces] = {};
	uint16_t count_ = 0;
};

} // namespace ub::translator
