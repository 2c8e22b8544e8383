/* SPDX-License-Identifier: GPL-2.0 */
/* Kernels that are compiled here. */
#pragma once

void set_up_programs(void);
unsigned long dict_lookups(void);
unsigned long parse_headers(void);
unsigned long validate_utf8(void);
unsigned long encode_base64(void);
unsigned long checksum(void);
unsigned long chase_pointers(void);
unsigned long recurse(void);
unsigned long call_much(void);
unsigned long call_through_pointers(void);
unsigned long interpret(void);
unsigned long insertion_sort(void);
unsigned long multiply_matrices(void);
