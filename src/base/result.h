/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Result<T>: a value or the Fault that kept it from being. A Fault never means
 * more than "the program goes on natively"; its table (fault.inc) gives each one
 * a counter key and a sentence.
 */
#pragma once

#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

namespace ub {

enum class Fault : uint8_t {
#define FAULT(name, key, sentence) name,
#include "base/fault.inc"
#undef FAULT
};

constexpr const char *key(Fault fault)
{
	switch (fault) {
#define FAULT(name, key, sentence) case Fault::name: return key;
#include "base/fault.inc"
#undef FAULT
	}
	return "?";
}

constexpr const char *sentence(Fault fault)
{
	switch (fault) {
#define FAULT(name, key, sentence) case Fault::name: return sentence;
#include "base/fault.inc"
#undef FAULT
	}
	return "?";
}

struct Nothing {};

template <typename T = Nothing>
class [[nodiscard]] Result {
	static_assert(std::is_trivially_destructible_v<T>, "results carry plain values");

public:
	constexpr Result(T value) : value_(static_cast<T &&>(value)), ok_(true) {}
	constexpr Result(Fault fault) : fault_(fault), ok_(false) {}

	constexpr explicit operator bool() const { return ok_; }
	constexpr T &operator*() { return value_; }
	constexpr const T &operator*() const { return value_; }
	constexpr T *operator->() { return &value_; }
	constexpr const T *operator->() const { return &value_; }
	constexpr Fault fault() const { return fault_; }

private:
	union {
		T value_;
		Fault fault_;
	};
	bool ok_;
};

/* Unwraps a Result or returns its Fault from the function around it. */
#define TRY(expression)                                  \
	({                                               \
		auto result_ = (expression);             \
		if (!result_)                            \
			return result_.fault();          \
		static_cast<decltype(result_) &&>(result_).operator*(); \
	})

} // namespace ub
