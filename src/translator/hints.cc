/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Takes hints from the guest's data, which is peeked at as it happens to be while the
 * translation is made. What does not look like the start of guest code is no hint.
 */
#include "translator/hints.h"

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

} // namespace

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

} // namespace ub::translator
