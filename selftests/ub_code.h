/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ub_code.h - a function for files: it makes getppid, and returns a value that is part of
 * its code. What is translated from a file that changes shows by what it returns.
 */
#pragma once

#include <stddef.h>
#include <unistd.h>

/* getppid; return VALUE */
static const unsigned char code[] = {
	0xb8, 110, 0, 0, 0,		/* mov $110, %eax */
	0x0f, 0x05,			/* syscall */
	0xb8, 0, 0, 0, 0,		/* mov $VALUE, %eax */
	0xc3,				/* ret */
};
#define VALUE_AT 8
#define BEHIND_SYSCALL 7

/* Writes the function to a place in a file. Return: 1 when it is there. */
static inline int code_write(int fd, off_t at, int value)
{
	return pwrite(fd, code, sizeof(code), at) == sizeof(code) && pwrite(fd, &value, 4, at + VALUE_AT) == 4;
}
