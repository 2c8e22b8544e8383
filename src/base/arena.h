/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Arena: the memory of one translation attempt. Reserved once, handed out by
 * bumping, given back as a whole; stages never allocate otherwise. Running out
 * is remembered, not reported at each call: the caller asks exhausted() once.
 *
 * Table<T>: a list of at most `capacity` elements in an arena. Past the capacity
 * push_back() drops the element and remembers it (full()); a stage checks at its end.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <type_traits>

namespace ub {

class Arena {
public:
	constexpr Arena() = default;
	Arena(void *memory, size_t bytes) : at_(static_cast<char *>(memory)), end_(at_ + bytes) {}
	Arena(const Arena &) = delete;
	Arena &operator=(const Arena &) = delete;

	/* Zeroed storage for `count` elements, or null when the arena is used up. */
	template <typename T>
	T *make(size_t count = 1)
	{
		T *first = raw<T>(count);
		if constexpr (std::is_trivially_default_constructible_v<T>) {
			if (first)
				__builtin_memset(first, 0, count * sizeof(T));
		} else {
			for (size_t i = 0; first && i < count; i++)
				new (&first[i]) T{};
		}
		return first;
	}

	/* The same, not yet constructed. */
	template <typename T>
	T *raw(size_t count)
	{
		static_assert(std::is_trivially_destructible_v<T>);
		uintptr_t start = (uintptr_t(at_) + alignof(T) - 1) & ~uintptr_t(alignof(T) - 1);
		uintptr_t room = uintptr_t(end_) > start ? uintptr_t(end_) - start : 0;

		if (!at_ || count > room / sizeof(T)) {
			exhausted_ = true;
			return nullptr;
		}
		at_ = reinterpret_cast<char *>(start + count * sizeof(T));
		return reinterpret_cast<T *>(start);
	}

	bool exhausted() const { return exhausted_; }
	size_t left() const { return size_t(end_ - at_); }

private:
	char *at_ = nullptr;
	char *end_ = nullptr;
	bool exhausted_ = false;
};

template <typename T>
class Table {
public:
	constexpr Table() = default;
	Table(Arena &arena, size_t capacity)
		: data_(arena.raw<T>(capacity)), capacity_(data_ ? capacity : 0) {}

	/* Returns the stored element, or null (and full() from then on) past the capacity. */
	T *push_back(const T &value)
	{
		if (size_ == capacity_) {
			full_ = true;
			return nullptr;
		}
		return new (&data_[size_++]) T(value);
	}

	/* The same for an element that the caller fills in. */
	T *add()
	{
		if (size_ == capacity_) {
			full_ = true;
			return nullptr;
		}
		return &data_[size_++];
	}

	bool full() const { return full_; }
	bool empty() const { return size_ == 0; }
	size_t size() const { return size_; }
	size_t capacity() const { return capacity_; }
	void clear() { size_ = 0; full_ = false; }
	void resize_down(size_t size) { if (size < size_) size_ = size; }
	T &operator[](size_t i) { return data_[i]; }
	const T &operator[](size_t i) const { return data_[i]; }
	T &back() { return data_[size_ - 1]; }
	T *begin() { return data_; }
	T *end() { return data_ + size_; }
	const T *begin() const { return data_; }
	const T *end() const { return data_ + size_; }
	std::span<T> span() { return {data_, size_}; }
	std::span<const T> span() const { return {data_, size_}; }

private:
	T *data_ = nullptr;
	size_t size_ = 0;
	size_t capacity_ = 0;
	bool full_ = false;
};

} // namespace ub
