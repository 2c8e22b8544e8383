/* SPDX-License-Identifier: GPL-2.0 */
/* The memory that translations are made in, one at a time and all from the front of it. */
#pragma once

#include "kernel/services.h"
#include "translator/translate.h"

namespace ub::translator {

/* Memory for translation attempts: one is kept between them, since they come in bursts. */
class Attempt {
public:
	Attempt()
	{
		memory_ = __atomic_exchange_n(&kept_, nullptr, __ATOMIC_ACQ_REL);
		if (!memory_)
			memory_ = ubk_alloc(kArenaBytes);
	}
	~Attempt() { ubk_free(__atomic_exchange_n(&kept_, memory_, __ATOMIC_ACQ_REL)); }
	Attempt(const Attempt &) = delete;
	Attempt &operator=(const Attempt &) = delete;

	explicit operator bool() const { return memory_; }
	void *memory() const { return memory_; }
	/* At load, as the memory is cleared, which takes longer than a translation does. */
	static bool keep_one() { return (kept_ = ubk_alloc(kArenaBytes)); }
	static void drop_kept() { ubk_free(__atomic_exchange_n(&kept_, nullptr, __ATOMIC_ACQ_REL)); }

private:
	static inline constinit void *kept_ = nullptr;
	void *memory_;
};

} // namespace ub::translator
