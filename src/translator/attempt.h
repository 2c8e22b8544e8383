/* SPDX-License-Identifier: GPL-2.0 */
/* The memory that translations are made in, one at a time and all from the front of it. */
#pragma once

#include "kernel/services.h"
#include "translator/translate.h"

namespace ub::translator {

/* Memory for translation attempts: one is kept between them, since they come in bursts. */
template <size_t bytes>
class AttemptOf {
public:
	AttemptOf()
	{
		memory_ = __atomic_exchange_n(&kept_, nullptr, __ATOMIC_ACQ_REL);
		if (!memory_)
			memory_ = ubk_alloc(bytes);
	}
	~AttemptOf() { ubk_free(__atomic_exchange_n(&kept_, memory_, __ATOMIC_ACQ_REL)); }
	AttemptOf(const AttemptOf &) = delete;
	AttemptOf &operator=(const AttemptOf &) = delete;

	explicit operator bool() const { return memory_; }
	void *memory() const { return memory_; }
	static constexpr size_t size() { return bytes; }
	/* At load, as the memory is cleared, which takes longer than a translation does. */
	static bool keep_one() { return (kept_ = ubk_alloc(bytes)); }
	static void drop_kept() { ubk_free(__atomic_exchange_n(&kept_, nullptr, __ATOMIC_ACQ_REL)); }

private:
	static inline constinit void *kept_ = nullptr;
	void *memory_;
};

using Attempt = AttemptOf<kArenaBytes>;
using PartAttempt = AttemptOf<kPartArenaBytes>;

} // namespace ub::translator
