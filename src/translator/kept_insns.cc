/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Part of discover: what makes decoded instructions alike, and what of a copy is its own.
 */
#include "translator/kept_insns.h"

#include <algorithm>

#include <Zydis/Decoder.h>

namespace ub::translator {

namespace {

constinit KeptInsns g_kept;
constinit bool g_kept_taken = false;

template <typename T>
uint64_t number(const uint8_t *bytes)
{
	T value;
	__builtin_memcpy(&value, bytes, sizeof(value));
	return uint64_t(int64_t(value));
}

uint64_t number(const uint8_t *bytes, uint8_t count, bool is_signed)
{
	switch (count) {
	case 1:
		return is_signed ? number<int8_t>(bytes) : number<uint8_t>(bytes);
	case 2:
		return is_signed ? number<int16_t>(bytes) : number<uint16_t>(bytes);
	case 4:
		return is_signed ? number<int32_t>(bytes) : number<uint32_t>(bytes);
	default:
		return number<int64_t>(bytes);
	}
}

/* An EVEX displacement of one byte counts in units that the operands decide. */
bool is_scaled(bool evex, uint8_t disp_bytes)
{
	return evex && disp_bytes == 1;
}

} // namespace

KeptInsns *KeptInsns::borrow()
{
	if (__atomic_exchange_n(&g_kept_taken, true, __ATOMIC_ACQUIRE))
		return nullptr;
	g_kept.refresh();
	return &g_kept;
}

void KeptInsns::give_back()
{
	__atomic_store_n(&g_kept_taken, false, __ATOMIC_RELEASE);
}

void find_head(const ZydisDecodedInstruction &z, const ZydisDecodedOperand *operands, const uint8_t *bytes,
	       bool immediate_decides, KeptInsn &kept)
{
	const auto &disp = z.raw.disp;
	const auto &imm = z.raw.imm[0];
	size_t head_bytes = z.length - disp.size / 8u - imm.size / 8u;
	const bool in_order = (!disp.size || disp.offset == head_bytes) &&
			      (!imm.size || imm.offset == head_bytes + disp.size / 8u);

	/* That of a VEX instruction may name a register. */
	if (std::any_of(operands, operands + z.operand_count,
			[](const ZydisDecodedOperand &o) { return o.type == ZYDIS_OPERAND_TYPE_IMMEDIATE; }))
		kept.immediate = {imm.offset, uint8_t(imm.size / 8), bool(imm.is_signed), bool(imm.is_relative)};
	if (immediate_decides)
		head_bytes = z.length;
	else if (is_scaled(z.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX, disp.size / 8))
		head_bytes++;
	if (!in_order || z.raw.imm[1].size || head_bytes > sizeof(kept.head))
		return;
	for (size_t i = 0; i < head_bytes; i++) {
		kept.head |= uint64_t(bytes[i]) << 8 * i;
		kept.head_mask |= uint64_t(0xff) << 8 * i;
	}
}

void KeptInsn::place(Insn &insn) const
{
	MemOperand &m = insn.mem;

	if (m.present && !is_scaled(insn.encoding == Encoding::kEvex, insn.disp_bytes)) {
		m.disp = insn.disp_bytes ? int64_t(number(insn.bytes + insn.disp_at, insn.disp_bytes, true)) : 0;
		if (m.rip_relative) {
			m.disp += int64_t(insn.next().value);
			if (m.address32)
				m.disp = int64_t(uint32_t(m.disp));
		}
	}
	if (immediate.bytes) {
		insn.target = number(insn.bytes + immediate.at, immediate.bytes, immediate.is_signed) +
			      (immediate.relative ? insn.next().value : 0);
		if (insn.kind == Kind::kReturn)
			insn.pop_bytes = uint16_t(insn.target);
	}
}

} // namespace ub::translator
