/* SPDX-License-Identifier: GPL-2.0 */
/* GprName: which general register one of Zydis' names stands for, and by which part. */
#pragma once

#include <Zydis/Register.h>

#include "translator/insn.h"

namespace ub::translator {

struct GprName {
	Gpr reg = kNoGpr;
	bool high_byte = false;
};

/* Zydis numbers the general registers of one width in encoding order, but for the bytes. */
inline GprName gpr_of(ZydisRegister r)
{
	if (r >= ZYDIS_REGISTER_RAX && r <= ZYDIS_REGISTER_R15)
		return {Gpr(r - ZYDIS_REGISTER_RAX)};
	if (r >= ZYDIS_REGISTER_EAX && r <= ZYDIS_REGISTER_R15D)
		return {Gpr(r - ZYDIS_REGISTER_EAX)};
	if (r >= ZYDIS_REGISTER_AX && r <= ZYDIS_REGISTER_R15W)
		return {Gpr(r - ZYDIS_REGISTER_AX)};
	if (r >= ZYDIS_REGISTER_AL && r <= ZYDIS_REGISTER_BL)
		return {Gpr(r - ZYDIS_REGISTER_AL)};
	if (r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH)
		return {Gpr(r - ZYDIS_REGISTER_AH), true};
	if (r >= ZYDIS_REGISTER_SPL && r <= ZYDIS_REGISTER_R15B)
		return {Gpr(r - ZYDIS_REGISTER_SPL + 4)};
	return {};
}

} // namespace ub::translator
