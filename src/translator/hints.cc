/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Takes hints from the guest's data, which is peeked at as it happens to be while the
 * translation is made, and from what was on the stack where the gap began once. What is not
 * guest code, or nothing that is returned to, is no hint.
 */
#include "translator/hints.h"

#include <Zydis/Mnemonic.h>

#include "kernel/services.h"

namespace ub::translator {

namespace {

constexpr UserAddr kNoHint;

/* push imm32, behind an endbr64 or not: where a slot of the GOT points until its function is
 * looked up. The dynamic linker is not worth translating. */
bool is_lazy_stub(std::span<const uint8_t> code)
{
	constexpr size_t kEndbrBytes = 4;
	const bool endbr = code.size() > kEndbrBytes && code[0] == 0xf3 && code[1] == 0x0f && code[2] == 0x1e &&
			   code[3] == 0xfa;

	return code[endbr ? kEndbrBytes : 0] == 0x68;
}

constexpr size_t kLongestCall = 7;

/* Of a call by its first bytes: e8 rel32, or ff /2 with what its ModRM asks for. 0: it is none,
 * or has a prefix, which is left out. */
size_t call_bytes(uint8_t opcode, uint8_t modrm, uint8_t sib)
{
	if (opcode == 0xe8)
		return 5;
	if (opcode != 0xff || (modrm >> 3 & 7) != 2)
		return 0;

	const uint8_t mod = modrm >> 6, rm = modrm & 7;
	if (mod == 3)
		return 2;
	const bool disp32 = mod == 2 || (!mod && (rm == 5 || (rm == 4 && (sib & 7) == 5)));
	return 2 + (rm == 4) + (mod == 1 ? 1 : disp32 ? 4 : 0);
}

} // namespace

int32_t stack_behind(int32_t stack, const Insn &insn, const Lowering &how)
{
	constexpr int32_t kFar = 1 << 24;
	int32_t by = 0;

	switch (how.form) {
	case Form::kPush:
		by = -8;
		break;
	case Form::kPop:
		by = insn.reg_count && insn.regs[0].reg == kRsp ? kFar : 8;
		break;
	case Form::kStackShift:
		by = how.shift;
		break;
	case Form::kControl:
		if (insn.kind == Kind::kCall || insn.kind == Kind::kIndirectCall)
			by = -8;
		else if (insn.kind == Kind::kReturn)
			by = 8 + insn.pop_bytes;
		break;
	case Form::kNothing:
	case Form::kCopy:
	case Form::kOperate:
	case Form::kHighByte:
	case Form::kInSlot:
	case Form::kLea:
	case Form::kXlat:
	case Form::kString:
	case Form::kExit:
		break;
	case Form::kStackWrite:
	case Form::kLeave:
		return kStackUnknown;
	}
	if (stack == kStackUnknown || by <= -kFar || by >= kFar)
		return kStackUnknown;
	stack += by;
	return stack <= -kFar || stack >= kFar ? kStackUnknown : stack;
}

UserAddr Hints::through(const MemOperand &pointer)
{
	uint64_t value = 0;

	if (!pointer.present || !pointer.constant() || pointer.segment != Segment::kFlat)
		return kNoHint;
	if (ubk_guest_peek(mm_, uint64_t(pointer.disp), &value, sizeof(value)) != sizeof(value))
		return kNoHint;

	uint8_t joined[8];
	const UserAddr target(value);
	if (!target.in_user_half())
		return kNoHint;
	const std::span<const uint8_t> code = code_.read(target, joined, sizeof(joined));
	return code.empty() || is_lazy_stub(code) ? kNoHint : target;
}

UserAddr Hints::through(Gpr pointer, const Region &region, const Block &block)
{
	constexpr int kFewBlocks = 8;
	const Block *at = &block;

	for (int i = 0; i < kFewBlocks; i++) {
		const std::span<const Insn> insns = region.of(*at);
		for (size_t n = insns.size(); n-- > 0;) {
			const Insn &insn = insns[n];
			if (!(insn.gpr_written & bit(pointer)))
				continue;
			/* mov r64, [place] */
			const bool load = insn.mnemonic == ZYDIS_MNEMONIC_MOV && insn.reg_count == 1 &&
					  insn.regs[0].bytes == 8 && !insn.mem.written;
			return load ? through(insn.mem) : kNoHint;
		}
		if (at->found_from == kNoBlock)
			return kNoHint;
		at = &region.blocks[at->found_from];
	}
	return kNoHint;
}

bool Hints::behind_call(UserAddr target)
{
	for (size_t bytes = 2; bytes <= kLongestCall; bytes++) {
		uint8_t joined[3];
		const std::span<const uint8_t> code = code_.read(target + -int64_t(bytes), joined, sizeof(joined));
		if (code.size() >= 2 && call_bytes(code[0], code[1], code.size() > 2 ? code[2] : 0) == bytes)
			return true;
	}
	return false;
}

UserAddr Hints::return_at(int32_t stack)
{
	constexpr int32_t kWord = sizeof(uint64_t);

	if (stack < 0 || stack % kWord || size_t(stack / kWord) >= stack_.size())
		return kNoHint;

	uint8_t joined[1];
	const UserAddr target(stack_[size_t(stack / kWord)]);
	if (!target.in_user_half() || code_.read(target, joined, sizeof(joined)).empty())
		return kNoHint;
	return behind_call(target) ? target : kNoHint;
}

} // namespace ub::translator
