// SPDX-License-Identifier: GPL-2.0
/*
 * The rule table as a dense array, made at compile time from rules.inc. Trusted.
 */
#include "sfi/rules.h"

#include <array>

#include <Zydis/Mnemonic.h>

namespace ub::sfi {

namespace {

using Rules = std::array<Rule, ZYDIS_MNEMONIC_MAX_VALUE + 1>;

consteval Rules make_rules()
{
	Rules rules{};

#define ALLOW(mnemonic, kind, raises) rules[ZYDIS_MNEMONIC_##mnemonic] = {Kind::kind, raises, Reason::kUnlisted};
#define INTEGER(mnemonic) ALLOW(mnemonic, kInteger, false)
#define INTEGER_RAISES(mnemonic) ALLOW(mnemonic, kInteger, true)
#define VECTOR(mnemonic) ALLOW(mnemonic, kVector, false)
#define VECTOR_RAISES(mnemonic) ALLOW(mnemonic, kVector, true)
#define SSE(mnemonic) VECTOR(mnemonic) VECTOR(V##mnemonic)
#define SSE_RAISES(mnemonic) VECTOR_RAISES(mnemonic) VECTOR_RAISES(V##mnemonic)
#define HINT(mnemonic) ALLOW(mnemonic, kHint, false)
#define HINT_RAISES(mnemonic) ALLOW(mnemonic, kHint, true)
#define BRANCH(mnemonic) ALLOW(mnemonic, kBranch, false)
#define REFUSE(mnemonic, reason) rules[ZYDIS_MNEMONIC_##mnemonic] = {Kind::kRefused, false, Reason::reason};
#include "sfi/rules.inc"
#undef REFUSE
#undef BRANCH
#undef HINT_RAISES
#undef HINT
#undef SSE_RAISES
#undef SSE
#undef VECTOR_RAISES
#undef VECTOR
#undef INTEGER_RAISES
#undef INTEGER
#undef ALLOW
	return rules;
}

constexpr Rules kRules = make_rules();
constexpr Rule kDefault{};

constexpr bool refused(ZydisMnemonic mnemonic)
{
	return kRules[mnemonic].kind == Kind::kRefused;
}

static_assert(kDefault.kind == Kind::kRefused && refused(ZYDIS_MNEMONIC_INVALID));
static_assert(kRules[ZYDIS_MNEMONIC_MOV].kind == Kind::kInteger && kRules[ZYDIS_MNEMONIC_ADD].kind == Kind::kInteger);
static_assert(kRules[ZYDIS_MNEMONIC_DIV].raises && kRules[ZYDIS_MNEMONIC_IDIV].raises);
static_assert(kRules[ZYDIS_MNEMONIC_VADDPS].raises && !kRules[ZYDIS_MNEMONIC_VPADDB].raises);
static_assert(refused(ZYDIS_MNEMONIC_HLT) && refused(ZYDIS_MNEMONIC_IN) && refused(ZYDIS_MNEMONIC_OUT));
static_assert(refused(ZYDIS_MNEMONIC_CLI) && refused(ZYDIS_MNEMONIC_STI) && refused(ZYDIS_MNEMONIC_LGDT));
static_assert(refused(ZYDIS_MNEMONIC_STAC) && refused(ZYDIS_MNEMONIC_CLAC) && refused(ZYDIS_MNEMONIC_SWAPGS));
static_assert(refused(ZYDIS_MNEMONIC_RDMSR) && refused(ZYDIS_MNEMONIC_WRMSR) && refused(ZYDIS_MNEMONIC_RDPMC));
static_assert(refused(ZYDIS_MNEMONIC_PUSHF) && refused(ZYDIS_MNEMONIC_PUSHFD) && refused(ZYDIS_MNEMONIC_PUSHFQ));
static_assert(refused(ZYDIS_MNEMONIC_POPF) && refused(ZYDIS_MNEMONIC_POPFD) && refused(ZYDIS_MNEMONIC_POPFQ));
static_assert(refused(ZYDIS_MNEMONIC_RDGSBASE) && refused(ZYDIS_MNEMONIC_WRGSBASE));
static_assert(refused(ZYDIS_MNEMONIC_RDFSBASE) && refused(ZYDIS_MNEMONIC_WRFSBASE));
static_assert(refused(ZYDIS_MNEMONIC_SYSCALL) && refused(ZYDIS_MNEMONIC_SYSENTER) && refused(ZYDIS_MNEMONIC_SYSRET));
static_assert(refused(ZYDIS_MNEMONIC_IRET) && refused(ZYDIS_MNEMONIC_IRETD) && refused(ZYDIS_MNEMONIC_IRETQ));
static_assert(refused(ZYDIS_MNEMONIC_CALL) && refused(ZYDIS_MNEMONIC_RET));
static_assert(refused(ZYDIS_MNEMONIC_PUSH) && refused(ZYDIS_MNEMONIC_POP));
static_assert(refused(ZYDIS_MNEMONIC_CPUID) && refused(ZYDIS_MNEMONIC_RDPRU) && refused(ZYDIS_MNEMONIC_XGETBV));
static_assert(refused(ZYDIS_MNEMONIC_XSAVE) && refused(ZYDIS_MNEMONIC_XRSTOR) && refused(ZYDIS_MNEMONIC_WRPKRU));
static_assert(refused(ZYDIS_MNEMONIC_INT) && refused(ZYDIS_MNEMONIC_INT3) && refused(ZYDIS_MNEMONIC_UD2));
static_assert(refused(ZYDIS_MNEMONIC_MOVSB) && refused(ZYDIS_MNEMONIC_STOSQ) && refused(ZYDIS_MNEMONIC_XLAT));
static_assert(refused(ZYDIS_MNEMONIC_VPGATHERDD) && refused(ZYDIS_MNEMONIC_VMASKMOVDQU) && refused(ZYDIS_MNEMONIC_TDPBSSD));

constexpr const char *kSentences[] = {
#define REASON(name, sentence) sentence,
#include "sfi/rules.inc"
#undef REASON
};

} // namespace

const Rule &rule(uint16_t mnemonic)
{
	return mnemonic < kRules.size() ? kRules[mnemonic] : kDefault;
}

const char *why(const Rule &rule)
{
	return rule.kind == Kind::kRefused ? kSentences[unsigned(rule.reason)] : nullptr;
}

bool always_accesses(uint16_t mnemonic)
{
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_CMP:
	case ZYDIS_MNEMONIC_TEST:
	case ZYDIS_MNEMONIC_AND:
	case ZYDIS_MNEMONIC_OR:
	case ZYDIS_MNEMONIC_XOR:
		return true;
	default:
		return false;
	}
}

} // namespace ub::sfi
