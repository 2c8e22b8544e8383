/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Part of the decoder: which string instruction it is, and how it repeats. Zydis' mnemonics do not say: movsd
 * and cmpsd are vector instructions, too.
 */
#include "translator/string_insn.h"

namespace ub::translator {

StringOp string_op(const ZydisDecodedInstruction &z)
{
	if (z.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || z.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		return StringOp::kNone;
	switch (z.opcode & 0xfe) {
	case 0xa4: return StringOp::kMovs;
	case 0xa6: return StringOp::kCmps;
	case 0xaa: return StringOp::kStos;
	case 0xac: return StringOp::kLods;
	case 0xae: return StringOp::kScas;
	default: return StringOp::kNone;
	}
}

const char *take_string(const ZydisDecodedInstruction &z, Insn &insn)
{
	bool once[2] = {true, true};

	insn.string = string_op(z);
	insn.element_bytes = z.opcode & 1 ? uint8_t(z.operand_width / 8) : uint8_t(1);
	for (uint8_t i = 0; i < insn.prefix_end; i++) {
		const uint8_t prefix = insn.bytes[i];
		const bool repeats = prefix == 0xf2 || prefix == 0xf3;
		if ((!repeats && prefix != 0x66) || !once[repeats])
			return "is a string instruction with an unusual prefix";
		once[repeats] = false;
		if (!repeats)
			continue;
		if (insn.string == StringOp::kCmps || insn.string == StringOp::kScas)
			insn.repeat = prefix == 0xf3 ? Repeat::kWhileEqual : Repeat::kWhileUnequal;
		else if (prefix == 0xf3)
			insn.repeat = Repeat::kCount;
		else
			return "is a string instruction with an unusual prefix";
	}
	return nullptr;
}

} // namespace ub::translator
