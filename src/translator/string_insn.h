/* SPDX-License-Identifier: GPL-2.0 */
/* The decoder's part for string instructions: see string_insn.cc. */
#pragma once

#include <Zydis/Decoder.h>

#include "translator/insn.h"

namespace ub::translator {

/* kNone for what is no string instruction. */
StringOp string_op(const ZydisDecodedInstruction &z);

/* What its opcode and prefixes say, into `insn`. Return: null, or why it is refused. */
const char *take_string(const ZydisDecodedInstruction &z, Insn &insn);

} // namespace ub::translator
