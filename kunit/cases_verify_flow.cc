// SPDX-License-Identifier: GPL-2.0
/*
 * Images whose every instruction is legal by itself and which the verifier refuses for
 * what they do together: unproven addresses, kernel values, branches, polls, faults.
 */
#include "verify_rows.h"

namespace {

using namespace ub::testing;

constexpr Row kUnprovenAddresses1[] = {
	{"mov rax,[rbx]", "\x48\x8b\x03", {0}},
	{"mov [rbx],rax", "\x48\x89\x03", {0}},
	{"mov rax,[r10]", "\x49\x8b\x02", {0}},
	{"prefetcht0 [rbx]", "\x0f\x18\x0b", {0}},
	{"movups xmm0,[rbx]", "\x0f\x10\x03", {0}},
	{"vpcompressd [rcx]{k1},zmm0", "\x62\xf2\x7d\x49\x8b\x01", {0}},
	{"mov r9,rbx; and r9,r10; mov rax,[rbx]", "\x49\x89\xd9\x4d\x21\xd1\x48\x8b\x03", {6}},
	{"mov rdi,rax; and rdi,rbx; mov rax,[rdi]", "\x48\x89\xc7\x48\x21\xdf\x48\x8b\x07", {6}},
	{"and edi,r10d; add rdi,rax; mov rax,[rdi]", "\x44\x21\xd7\x48\x01\xc7\x48\x8b\x07", {6}},
	{"mov r10,rax; and rdi,r10; mov rax,[rdi]", "\x49\x89\xc2\x4c\x21\xd7\x48\x8b\x07", {6}},
	{"not r10; and rdi,r10; mov rax,[rdi]", "\x49\xf7\xd2\x4c\x21\xd7\x48\x8b\x07", {6}},
	{"mov r10b,0xff; and rdi,r10; mov rax,[rdi]", "\x41\xb2\xff\x4c\x21\xd7\x48\x8b\x07", {6}},
	{"bts r10,47; and rdi,r10; mov rax,[rdi]", "\x49\x0f\xba\xea\x2f\x4c\x21\xd7\x48\x8b\x07", {8}},
	{"inc r10; and rdi,r10; mov rax,[rdi]", "\x49\xff\xc2\x4c\x21\xd7\x48\x8b\x07", {6}},
	{"mov r10d,[rsp+56]; and rdi,r10; mov rax,[rdi]", "\x44\x8b\x54\x24\x38\x4c\x21\xd7\x48\x8b\x07", {8}},
	{"movabs r10,0xfffeffffffffffff; and rdi,r10; mov rax,[rdi]",
	 "\x49\xba\xff\xff\xff\xff\xff\xff\xfe\xff\x4c\x21\xd7\x48\x8b\x07", {13}},
	{"pdep rdi,r10,rdi; mov rax,[rdi]", "\xc4\xe2\xab\xf5\xff\x48\x8b\x07", {5}},
	{"pdep edi,edi,r10d; add rdi,rax; mov rax,[rdi]", "\xc4\xc2\x43\xf5\xfa\x48\x01\xc7\x48\x8b\x07", {8}},
	{"pext rdi,rdi,r10; mov rax,[rdi]", "\xc4\xc2\xc2\xf5\xfa\x48\x8b\x07", {5}},
	{"and rdi,r10; add rdi,rax; mov rax,[rdi]", "\x4c\x21\xd7\x48\x01\xc7\x48\x8b\x07", {6}},
	{"and rdi,r10; mov dil,5; mov rax,[rdi]", "\x4c\x21\xd7\x40\xb7\x05\x48\x8b\x07", {6}},
	{"and rdi,r10; mov di,5; mov rax,[rdi]", "\x4c\x21\xd7\x66\xbf\x05\x00\x48\x8b\x07", {7}},
	{"and rdi,r10; bswap rdi; mov rax,[rdi]", "\x4c\x21\xd7\x48\x0f\xcf\x48\x8b\x07", {6}},
	{"and rdi,r10; neg rdi; mov rax,[rdi]", "\x4c\x21\xd7\x48\xf7\xdf\x48\x8b\x07", {6}},
	{"and rdi,r10; cmovz rdi,rsi; mov rax,[rdi]", "\x4c\x21\xd7\x48\x0f\x44\xfe\x48\x8b\x07", {7}},
	{"and rdi,r10; xchg rdi,rsi; mov rax,[rdi]", "\x4c\x21\xd7\x48\x87\xf7\x48\x8b\x07", {6}},
	{"and rdi,r10; xadd rsi,rdi; mov rax,[rdi]", "\x4c\x21\xd7\x48\x0f\xc1\xfe\x48\x8b\x07", {7}},
	{"and rax,r10; cmpxchg rbx,rcx; mov rbx,[rax]", "\x4c\x21\xd0\x48\x0f\xb1\xcb\x48\x8b\x18", {7}},
	{"and rax,r10; mul rcx; mov rbx,[rax]", "\x4c\x21\xd0\x48\xf7\xe1\x48\x8b\x18", {6}},
	{"and rdx,r10; mul rcx; mov rbx,[rdx]", "\x4c\x21\xd2\x48\xf7\xe1\x48\x8b\x1a", {6}},
	{"and rdx,r10; cqo; mov rbx,[rdx]", "\x4c\x21\xd2\x48\x99\x48\x8b\x1a", {5}},
	{"and rax,r10; lahf; mov rbx,[rax]", "\x4c\x21\xd0\x9f\x48\x8b\x18", {4}},
	{"and rcx,r10; pcmpistri xmm0,xmm1,0; mov rbx,[rcx]", "\x4c\x21\xd1\x66\x0f\x3a\x63\xc1\x00\x48\x8b\x19", {3, 9}},
	{"and rdi,r10; mov rdi,[rdi]; mov rdi,[rdi]", "\x4c\x21\xd7\x48\x8b\x3f\x48\x8b\x3f", {3, 6}},
	{"and rdi,r10; mov [rsp+24],rdi; mov rdi,[rsp+24]; mov rax,[rdi]",
	 "\x4c\x21\xd7\x48\x89\x7c\x24\x18\x48\x8b\x7c\x24\x18\x48\x8b\x07", {13}},
	{"and rdi,r10; lea rdi,[rdi+rdi*1]; mov rax,[rdi]", "\x4c\x21\xd7\x48\x8d\x3c\x3f\x48\x8b\x07", {7}},
	{"and rdi,r10; lea rdi,[rdi*2+0]; mov rax,[rdi]",
	 "\x4c\x21\xd7\x48\x8d\x3c\x7d\x00\x00\x00\x00\x48\x8b\x07", {11}},
	{"and rdi,r10; shl rdi,1; mov rax,[rdi]", "\x4c\x21\xd7\x48\xd1\xe7\x48\x8b\x07", {6}},
	{"movabs r9,0x800000000000; mov rax,[r9]", "\x49\xb9\x00\x00\x00\x00\x00\x80\x00\x00\x49\x8b\x01", {10}},
	{"movabs r9,0xffffffff81000000; mov rax,[r9]", "\x49\xb9\x00\x00\x00\x81\xff\xff\xff\xff\x49\x8b\x01", {10}},
	{"mov r9,-0x7f000000; mov rax,[r9]", "\x49\xc7\xc1\x00\x00\x00\x81\x49\x8b\x01", {7}},
	{"movsxd r9,eax; mov rax,[r9]", "\x4c\x63\xc8\x49\x8b\x01", {3}},
	{"mov di,5; mov rax,[rdi]", "\x66\xbf\x05\x00\x48\x8b\x07", {4}},
	{"btr rdi,46; mov rax,[rdi]", "\x48\x0f\xba\xf7\x2e\x48\x8b\x07", {5}},
	{"btr edi,15; add rdi,rdi; mov rax,[rdi]", "\x0f\xba\xf7\x0f\x48\x01\xff\x48\x8b\x07", {7}},
	{"bsf edi,ecx; mov rax,[rdi]", "\x0f\xbc\xf9\x48\x8b\x07", {3}},
	{"mov rax,[rsp+48]; mov rbx,[rax]", "\x48\x8b\x44\x24\x30\x48\x8b\x18", {5}},
	{"mov r11,rax; mov rbx,[r11]", "\x49\x89\xc3\x49\x8b\x1b", {3}},
	{"mov r11,[rsp+24]; mov rbx,[r11]", "\x4c\x8b\x5c\x24\x18\x49\x8b\x1b", {5}},
	{"movabs r8,0xfeffffffffffffff; and rdi,r8; mov rax,[rdi]",
	 "\x49\xb8\xff\xff\xff\xff\xff\xff\xff\xfe\x4c\x21\xc7\x48\x8b\x07", {13}},
};

constexpr Row kUnprovenAddresses2[] = {
	{"movabs r8,0xffff7fffffffffff; and rdi,r8; mov rax,[rdi]",
	 "\x49\xb8\xff\xff\xff\xff\xff\x7f\xff\xff\x4c\x21\xc7\x48\x8b\x07", {13}},
	{"btr rdi,47; mov rax,[rdi]", "\x48\x0f\xba\xf7\x2f\x48\x8b\x07", {5}},
};

UB_CASE(verify_refuses, unproven_addresses)
{
	CHECK_CALL(refuse_all(test, kUnprovenAddresses1, "an access through a register that is not proven to hold a user address"));
	CHECK_CALL(refuse_all(test, kUnprovenAddresses2, "an access through a register that is not proven to hold a user address", Machine::kLa57));
}

constexpr Row kDisplacementsAndDrift[] = {
	{"mov r9,rax; and r9,r10; mov dl,[r9]; mov r9,rbx; mov dl,[r9+1]",
	 "\x49\x89\xc1\x4d\x21\xd1\x41\x8a\x11\x49\x89\xd9\x41\x8a\x51\x01", {6, 12}},
	{"mov r9,rax; and r9,r10; mov dl,[r9]; add r9,rbx; mov dl,[r9+1]",
	 "\x49\x89\xc1\x4d\x21\xd1\x41\x8a\x11\x49\x01\xd9\x41\x8a\x51\x01", {6, 12}},
	{"mov r9,rax; and r9,r10; mov dl,[r9]; mov dl,[r9+0x7fffffc1]",
	 "\x49\x89\xc1\x4d\x21\xd1\x41\x8a\x11\x41\x8a\x91\xc1\xff\xff\x7f", {6, 9}},
	{"mov r9,rax; and r9,r10; mov dl,[r9]; mov dl,[r9-0x200000]",
	 "\x49\x89\xc1\x4d\x21\xd1\x41\x8a\x11\x41\x8a\x91\x00\x00\xe0\xff", {6, 9}},
	{"and rdi,r10; mov rax,[rdi-0x1fffc1]", "\x4c\x21\xd7\x48\x8b\x87\x3f\x00\xe0\xff", {3}},
	{"and rdi,r10; mov rax,[rdi-0x200000]", "\x4c\x21\xd7\x48\x8b\x87\x00\x00\xe0\xff", {3}},
	{"and rdi,r10; mov al,[rdi+0x7fffffc1]", "\x4c\x21\xd7\x8a\x87\xc1\xff\xff\x7f", {3}},
	{"and rdi,r10; mov al,[rdi-0x80000000]", "\x4c\x21\xd7\x8a\x87\x00\x00\x00\x80", {3}},
	{"lea r11,[r11-0x100001]; mov rax,[r11]", "\x4d\x8d\x9b\xff\xff\xef\xff\x49\x8b\x03", {7}},
	{"lea r11,[r11+0x100001]; mov rax,[r11]", "\x4d\x8d\x9b\x01\x00\x10\x00\x49\x8b\x03", {7}},
	{"lea r11,[r11-0x80000]; lea r11,[r11-0x80001]; mov rax,[r11]",
	 "\x4d\x8d\x9b\x00\x00\xf8\xff\x4d\x8d\x9b\xff\xff\xf7\xff\x49\x8b\x03", {14}},
	{"lea r11,[r11-0x100000]; mov rax,[r11-0xfffc1]", "\x4d\x8d\x9b\x00\x00\xf0\xff\x49\x8b\x83\x3f\x00\xf0\xff", {7}},
	{"sub r11,0x100000; sub r11,1; mov rax,[r11]", "\x49\x81\xeb\x00\x00\x10\x00\x49\x83\xeb\x01\x49\x8b\x03", {11}},
	{"sub r11,-0x80000000; mov rax,[r11]", "\x49\x81\xeb\x00\x00\x00\x80\x49\x8b\x03", {7}},
	{"lea r11,[r11-0x80000]; mov rax,[r11]; lea r11,[r11-0x80000]; mov rax,[r11]; lea r11,[r11-0x1000]; mov rax,[r11]",
	 "\x4d\x8d\x9b\x00\x00\xf8\xff\x49\x8b\x03\x4d\x8d\x9b\x00\x00\xf8\xff\x49\x8b\x03\x4d\x8d\x9b\x00\xf0\xff\xff\x49\x8b\x03", {7, 17, 27}},
	{"L0: poll; lea r11,[r11-0x401]; mov [r11],rax; jmp L0",
	 POLL("\x0c\x00\x00\x00") "\x4d\x8d\x9b\xff\xfb\xff\xff\x49\x89\x03\xeb\xe2", {25}},
	{"L0: poll; lea r11,[r11-8]; jmp L0; L1: mov rax,[r11]",
	 POLL("\x09\x00\x00\x00") "\x4d\x8d\x5b\xf8\xeb\xe8\x49\x8b\x03", {24}},
	{"L0: poll; mov rax,[r11]; lea r11,[r11-8]; mov rax,[r11-0xfffc0]; jmp L0",
	 POLL("\x10\x00\x00\x00") "\x49\x8b\x03\x4d\x8d\x5b\xf8\x49\x8b\x83\x40\x00\xf0\xff\xeb\xde", {18, 25}},
	{"and rdi,r10; L0: poll; prefetcht0 [rdi]; lea rdi,[rdi-8]; jmp L0",
	 "\x4c\x21\xd7" POLL("\x09\x00\x00\x00") "\x0f\x18\x0f\x48\x8d\x7f\xf8\xeb\xe5", {21}},
	{"and rdi,r10; L0: poll; vmovdqu8 [rdi]{k1},ymm0; lea rdi,[rdi-8]; jmp L0",
	 "\x4c\x21\xd7" POLL("\x0c\x00\x00\x00") "\x62\xf1\x7f\x29\x7f\x07\x48\x8d\x7f\xf8\xeb\xe2", {21}},
	{"and rdi,r10; L0: poll; shl dword ptr [rdi],cl; lea rdi,[rdi-8]; jmp L0",
	 "\x4c\x21\xd7" POLL("\x08\x00\x00\x00") "\xd3\x27\x48\x8d\x7f\xf8\xeb\xe6", {21}},
	{"lea r11,[r11+0x100000]; mov rax,[r11]; mov al,[r11+0x3fffffc1]",
	 "\x4d\x8d\x9b\x00\x00\x10\x00\x49\x8b\x03\x41\x8a\x83\xc1\xff\xff\x3f", {7, 10}},
};

UB_CASE(verify_refuses, displacements_and_drift)
{
	CHECK_CALL(refuse_all(test, kDisplacementsAndDrift, "an access through a register that is not proven to hold a user address"));
}

constexpr Row kMerges[] = {
	{"mov r9,rax; jz L1; and r9,r10; L1: mov dl,[r9]", "\x49\x89\xc1\x74\x03\x4d\x21\xd1\x41\x8a\x11", {8}},
	{"mov r9,rax; and r9,r10; jz L1; mov r9,rbx; L1: mov dl,[r9+1]",
	 "\x49\x89\xc1\x4d\x21\xd1\x74\x03\x49\x89\xd9\x41\x8a\x51\x01", {11}},
	{"and rdi,r10; jz L1; mov rdi,rsi; L1: mov rax,[rdi]", "\x4c\x21\xd7\x74\x03\x48\x89\xf7\x48\x8b\x07", {8}},
	{"jz L1; and rdi,r10; L1: mov rax,[rdi]", "\x74\x03\x4c\x21\xd7\x48\x8b\x07", {5}},
	{"jz L1; mov r10,rax; L1: and rdi,r10; mov rax,[rdi]", "\x74\x03\x49\x89\xc2\x4c\x21\xd7\x48\x8b\x07", {8}},
	{"and rdi,r10; L0: mov rax,[rdi]; mov rdi,rax; poll; jmp L0",
	 "\x4c\x21\xd7\x48\x8b\x07\x48\x89\xc7" POLL("\x02\x00\x00\x00") "\xeb\xe6", {3}},
	{"and rdi,r10; and rsi,r10; L0: mov rax,[rdi]; mov rdi,rsi; mov rsi,rax; poll; jmp L0",
	 "\x4c\x21\xd7\x4c\x21\xd6\x48\x8b\x07\x48\x89\xf7\x48\x89\xc6" POLL("\x02\x00\x00\x00") "\xeb\xe3", {6}},
	{"and rdi,r10; jmp L1; mov rax,[rdi]; L1: nop", "\x4c\x21\xd7\xeb\x03\x48\x8b\x07\x90", {5}},
	{"jmp L1; mov rax,[r11]; L1: nop", "\xeb\x03\x49\x8b\x03\x90", {2}},
	{"jrcxz L1; jmp L2; L1: mov rdi,rax; L2: mov rax,[rdi]", "\xe3\x02\xeb\x03\x48\x89\xc7\x48\x8b\x07", {7}},
	{"jz L1; lea r11,[r11+0x80000]; L1: mov al,[r11+0x7fffffc0]",
	 "\x74\x07\x4d\x8d\x9b\x00\x00\x08\x00\x41\x8a\x83\xc0\xff\xff\x7f", {9}},
	{"jz L1; lea r11,[r11-0x80000]; L1: mov al,[r11-0x1fffc0]",
	 "\x74\x07\x4d\x8d\x9b\x00\x00\xf8\xff\x41\x8a\x83\x40\x00\xe0\xff", {9}},
};

UB_CASE(verify_refuses, merges)
{
	CHECK_CALL(refuse_all(test, kMerges, "an access through a register that is not proven to hold a user address"));
}

constexpr Row kKernelValues[] = {
	{"mov rax,r9", "\x4c\x89\xc8"},
	{"and r9,r10", "\x4d\x21\xd1"},
	{"mov r9b,1", "\x41\xb1\x01"},
	{"mov [rsp],r9", "\x4c\x89\x0c\x24"},
	{"add r9,rax", "\x49\x01\xc1"},
	{"lea rax,[r9]", "\x49\x8d\x01"},
	{"xchg r9,rax", "\x49\x91"},
	{"mov rax,[r9]", "\x49\x8b\x01", {0}},
	{"cmovz r9,rax", "\x4c\x0f\x44\xc8"},
	{"movq xmm0,r9", "\x66\x49\x0f\x6e\xc1"},
	{"bsf r9,rax", "\x4c\x0f\xbc\xc8"},
	{"xor r9,r9", "\x4d\x31\xc9"},
	{"poll; mov rax,r9", POLL("\x03\x00\x00\x00") "\x4c\x89\xc8"},
	{"poll; mov [r11],r9", POLL("\x03\x00\x00\x00") "\x4d\x89\x0b", {18}},
	{"poll; mov [rsp+24],r9d", POLL("\x05\x00\x00\x00") "\x44\x89\x4c\x24\x18"},
	{"poll; mov al,r9b", POLL("\x03\x00\x00\x00") "\x44\x88\xc8"},
	{"poll; pdep r9,r9,r10", POLL("\x05\x00\x00\x00") "\xc4\x42\xb3\xf5\xca"},
	{"poll; mov r9w,ax; mov rax,r9", POLL("\x07\x00\x00\x00") "\x66\x41\x89\xc1\x4c\x89\xc8"},
	{"poll; mov rbx,[r9]", POLL("\x03\x00\x00\x00") "\x49\x8b\x19", {18}},
	{"mov r9,rax; and r9,r10; poll; mov dl,[r9]", "\x49\x89\xc1\x4d\x21\xd1" POLL("\x03\x00\x00\x00") "\x41\x8a\x11", {24}},
	{"mov r9,rax; and r9,r10; jz L1; poll; L1: mov dl,[r9]",
	 "\x49\x89\xc1\x4d\x21\xd1\x74\x12" POLL("\x03\x00\x00\x00") "\x41\x8a\x11", {26}},
	{"live poll; mov rax,r9", LIVE_POLL("\x08\x00\x00\x00") "\x4c\x89\xc8"},
	{"mov r9d,1; jz L1; poll; L1: mov rax,r9",
	 "\x41\xb9\x01\x00\x00\x00\x74\x12" POLL("\x03\x00\x00\x00") "\x4c\x89\xc8"},
};

UB_CASE(verify_refuses, kernel_values)
{
	CHECK_CALL(refuse_all(test, kKernelValues, "the kernel's value that entry or a poll left in r9 is read"));
}

constexpr Row kBranchTargets[] = {
	{"jz .+3; movabs rax,0x1122334455667788", "\x74\x01\x48\xb8\x88\x77\x66\x55\x44\x33\x22\x11"},
	{"jmp .+0x1000", "\xe9\xfb\x0f\x00\x00"},
	{"jmp .-0x100", "\xe9\xfb\xfe\xff\xff"},
	{"jz .-0x7fff0000", "\x0f\x84\xfa\xff\x00\x80"},
	{"jz stub+6", "\x0f\x84\x06\x00\x00\x00"},
	{"jmp stub+11", "\xeb\x0b"},
	{"mov r9,[rsp+64]; L1: test dword ptr [r9],0x2000e; jnz stub; jz L1", POLL("\x02\x00\x00\x00") "\x74\xf1"},
	{"jz L1; mov r9,[rsp+64]; L1: test dword ptr [r9],0x2000e; jnz stub", "\x74\x05" POLL("\x00\x00\x00\x00")},
	{"jz L1; mov r9,[rsp+64]; test dword ptr [r9],0x2000e; L1: jnz stub", "\x74\x0c" POLL("\x00\x00\x00\x00")},
	{"jz L9; live poll", "\x74\x23" LIVE_POLL("\x05\x00\x00\x00")},
};

UB_CASE(verify_refuses, branch_targets)
{
	CHECK_CALL(refuse_all(test, kBranchTargets, "a branch to what is not the start of an instruction"));
}

constexpr Row kPolls1[] = {
	{"mov r9,[rsp+64]; test dword ptr [r9],0x2000e; jnz L1; L1: nop", POLL("\x00\x00\x00\x00") "\x90"},
	{"mov r9,[rsp+64]; mov r9d,[r9]; mov [rsp+24],rcx; mov ecx,0x2000e; pext ecx,r9d,ecx; jrcxz L9; mov rcx,[rsp+24]; jmp L1; L9: mov rcx,[rsp+24]; L1: nop",
	 LIVE_POLL("\x05\x00\x00\x00") "\x90"},
};

constexpr Row kPolls2[] = {
	{"L0: dec rcx; jnz L0", "\x48\xff\xc9\x75\xfb"},
	{"L0: jmp L0", "\xeb\xfe"},
	{"jmp .", "\xeb\xfe"},
	{"L0: jrcxz L0", "\xe3\xfe"},
	{"poll; L0: dec rcx; jnz L0", POLL("\x05\x00\x00\x00") "\x48\xff\xc9\x75\xfb"},
	{"L0: dec rcx; poll; inc rcx; jmp L0", "\x48\xff\xc9" POLL("\x05\x00\x00\x00") "\x48\xff\xc1\xeb\xe6"},
	{"L0: dec rcx; jz L1; poll; L1: jmp L0", "\x48\xff\xc9\x74\x12" POLL("\x02\x00\x00\x00") "\xeb\xe7"},
	{"poll; dec rcx; jz stub; L0: dec rcx; jnz L0", POLL("\x0a\x00\x00\x00") "\x48\xff\xc9\x74\x05\x48\xff\xc9\x75\xfb"},
	{"L0: nop; poll; dec rcx; jnz L0", "\x90" POLL("\x05\x00\x00\x00") "\x48\xff\xc9\x75\xe8"},
};

constexpr Row kPolls3[] = {
	{"L0: mov r9,[rsp+64]; test dword ptr [r9],0x20000; jnz stub; jmp L0",
	 "\x4c\x8b\x4c\x24\x40\x41\xf7\x01\x00\x00\x02\x00\x0f\x85\x02\x00\x00\x00\xeb\xec"},
	{"L0: mov r9,[rsp+64]; test dword ptr [r9],0; jnz stub; jmp L0",
	 "\x4c\x8b\x4c\x24\x40\x41\xf7\x01\x00\x00\x00\x00\x0f\x85\x02\x00\x00\x00\xeb\xec"},
	{"L0: mov r9,[rsp+64]; mov r9d,[r9]; mov [rsp+24],rcx; mov ecx,0x2000c; pext ecx,r9d,ecx; jrcxz L9; mov rcx,[rsp+24]; jmp stub; L9: mov rcx,[rsp+24]; jmp L0",
	 "\x4c\x8b\x4c\x24\x40\x45\x8b\x09\x48\x89\x4c\x24\x18\xb9\x0c\x00\x02\x00\xc4\xe2\x32\xf5\xc9\xe3\x0a\x48\x8b\x4c\x24\x18\xe9\x07\x00\x00\x00\x48\x8b\x4c\x24\x18\xeb\xd6"},
	{"L0: mov r9,[rsp+64]; test dword ptr [r9],0x2000e; jz stub; jmp L0",
	 "\x4c\x8b\x4c\x24\x40\x41\xf7\x01\x0e\x00\x02\x00\x0f\x84\x02\x00\x00\x00\xeb\xec"},
	{"L0: mov r9,[rsp+64]; test dword ptr [r9],0x2000e; jnz stub; jmp L0",
	 "\x4c\x8b\x4c\x24\x40\x41\xf7\x01\x0e\x00\x02\x00\x75\x02\xeb\xf0"},
	{"L0: mov r9,[rsp+64]; mov r9d,[r9]; test ecx,0x2000e; jnz stub; jmp L0",
	 "\x4c\x8b\x4c\x24\x40\x45\x8b\x09\xf7\xc1\x0e\x00\x02\x00\x0f\x85\x02\x00\x00\x00\xeb\xea"},
	{"L0: mov r9,[rsp+64]; mov r9d,[r9]; mov [rsp+24],rcx; mov ecx,0x2000e; pext ecx,ecx,r9d; jrcxz L9; mov rcx,[rsp+24]; jmp stub; L9: mov rcx,[rsp+24]; jmp L0",
	 "\x4c\x8b\x4c\x24\x40\x45\x8b\x09\x48\x89\x4c\x24\x18\xb9\x0e\x00\x02\x00\xc4\xc2\x72\xf5\xc9\xe3\x0a\x48\x8b\x4c\x24\x18\xe9\x07\x00\x00\x00\x48\x8b\x4c\x24\x18\xeb\xd6"},
	{"L0: mov r9,[rsp+64]; mov r9d,[r9]; mov [rsp+24],rcx; mov edx,0x2000e; pext ecx,r9d,ecx; jrcxz L9; mov rcx,[rsp+24]; jmp stub; L9: mov rcx,[rsp+24]; jmp L0",
	 "\x4c\x8b\x4c\x24\x40\x45\x8b\x09\x48\x89\x4c\x24\x18\xba\x0e\x00\x02\x00\xc4\xe2\x32\xf5\xc9\xe3\x0a\x48\x8b\x4c\x24\x18\xe9\x07\x00\x00\x00\x48\x8b\x4c\x24\x18\xeb\xd6"},
	{"L0: mov r9,[rsp+64]; mov r9d,[r9]; mov [rsp+24],rcx; mov ecx,0x2000e; pext ecx,r9d,ecx; jrcxz L9; mov rcx,[rsp+24]; jmp stub; L9: mov rdx,[rsp+24]; jmp L0",
	 "\x4c\x8b\x4c\x24\x40\x45\x8b\x09\x48\x89\x4c\x24\x18\xb9\x0e\x00\x02\x00\xc4\xe2\x32\xf5\xc9\xe3\x0a\x48\x8b\x4c\x24\x18\xe9\x07\x00\x00\x00\x48\x8b\x54\x24\x18\xeb\xd6"},
	{"L0: mov r9,[rsp+64]; mov r9,[r9]; test r9d,0x2000e; jnz stub; jmp L0",
	 "\x4c\x8b\x4c\x24\x40\x4d\x8b\x09\x41\xf7\xc1\x0e\x00\x02\x00\x0f\x85\x02\x00\x00\x00\xeb\xe9"},
	{"L0: mov r9,[rsp+64]; mov r9d,[r9]; test r9d,0x2000e; jnz stub; jmp L0",
	 "\x4c\x8b\x4c\x24\x40\x45\x8b\x09\x41\xf7\xc1\x0e\x00\x02\x00\x0f\x85\x02\x00\x00\x00\xeb\xe9"},
	{"L0: mov r9,[rsp+64]; test dword ptr [r9+4],0x2000e; jnz stub; jmp L0",
	 "\x4c\x8b\x4c\x24\x40\x41\xf7\x41\x04\x0e\x00\x02\x00\x0f\x85\x02\x00\x00\x00\xeb\xeb"},
	{"L0: mov r9,[rsp+64]; test qword ptr [r9],0x2000e; jnz stub; jmp L0",
	 "\x4c\x8b\x4c\x24\x40\x49\xf7\x01\x0e\x00\x02\x00\x0f\x85\x02\x00\x00\x00\xeb\xec"},
	{"L0: mov r9,[rsp+64]; test dword ptr [rcx],0x2000e; jnz stub; jmp L0",
	 "\x4c\x8b\x4c\x24\x40\xf7\x01\x0e\x00\x02\x00\x0f\x85\x02\x00\x00\x00\xeb\xed"},
	{"L0: mov r9,[rsp+64]; test byte ptr [r9],0xe; jnz stub; jmp L0",
	 "\x4c\x8b\x4c\x24\x40\x41\xf6\x01\x0e\x0f\x85\x02\x00\x00\x00\xeb\xef"},
	{"L0: mov r9,[rsp+64]; not dword ptr [r9]; test r9d,0x2000e; jnz stub; jmp L0",
	 "\x4c\x8b\x4c\x24\x40\x41\xf7\x11\x41\xf7\xc1\x0e\x00\x02\x00\x0f\x85\x02\x00\x00\x00\xeb\xe9"},
	{"L0: mov r9,[rsp+64]; mov rcx,[r9]; test dword ptr [r9],0x2000e; jnz stub; jmp L0",
	 "\x4c\x8b\x4c\x24\x40\x49\x8b\x09\x41\xf7\x01\x0e\x00\x02\x00\x0f\x85\x02\x00\x00\x00\xeb\xe9"},
};

UB_CASE(verify_refuses, polls)
{
	CHECK_CALL(refuse_all(test, kPolls1, "a poll that does not lead to an exit stub"));
	CHECK_CALL(refuse_all(test, kPolls2, "a backward branch without a poll"));
	CHECK_CALL(refuse_all(test, kPolls3, "a kernel pointer's frame slot outside of a poll"));
}

constexpr Row kVectorState1[] = {
	{"vpaddb ymm0,ymm1,ymm2", "\xc5\xf5\xfc\xc2"},
	{"vzeroupper", "\xc5\xf8\x77"},
};

constexpr Row kVectorState2[] = {
	{"vmovdqu64 zmm0,zmm1", "\x62\xf1\xfe\x48\x6f\xc1"},
	{"vpaddb ymm16,ymm1,ymm2", "\x62\xe1\x75\x28\xfc\xc2"},
};

constexpr Row kVectorState3[] = {
	{"kmovd eax,k0", "\xc5\xfb\x93\xc0"},
};

UB_CASE(verify_refuses, vector_state)
{
	CHECK_CALL(refuse_all(test, kVectorState1, "a VEX instruction without AVX", Machine::kBare));
	CHECK_CALL(refuse_all(test, kVectorState2, "an EVEX instruction without AVX-512", Machine::kAvx));
	CHECK_CALL(refuse_all(test, kVectorState3, "a mask register without AVX-512", Machine::kAvx));
}

constexpr Row kLocks[] = {
	{"lock add dword ptr [r11],1", "\xf0\x41\x83\x03\x01", {0}},
	{"xchg [r11],eax", "\x41\x87\x03", {0}},
	{"lock cmpxchg [rsp],rax", "\xf0\x48\x0f\xb1\x04\x24"},
};

UB_CASE(verify_refuses, locks)
{
	CHECK_CALL(refuse_all(test, kLocks, "a locked access on a machine where a split lock is fatal", Machine::kNoLocks));
}

constexpr Row kFaults[] = {
	{"mov rax,[r11]", "\x49\x8b\x03"},
	{"mov [r11],rax", "\x49\x89\x03"},
	{"mov rax,fs:0x28", "\x64\x48\x8b\x04\x25\x28\x00\x00\x00"},
	{"mov rax,ds:0x400000", "\x48\x8b\x04\x25\x00\x00\x40\x00"},
	{"prefetcht0 [r11]", "\x41\x0f\x18\x0b"},
	{"div rcx", "\x48\xf7\xf1"},
	{"idiv ecx", "\xf7\xf9"},
	{"addsd xmm0,xmm1", "\xf2\x0f\x58\xc1"},
	{"cvtsi2sd xmm0,rax", "\xf2\x48\x0f\x2a\xc0"},
	{"comiss xmm0,xmm1", "\x0f\x2f\xc1"},
	{"popcnt eax,ebx", "\xf3\x0f\xb8\xc3"},
	{"adcx rax,rbx", "\x66\x48\x0f\x38\xf6\xc3"},
	{"sqrtpd xmm0,xmm1", "\x66\x0f\x51\xc1"},
	{"vfmadd213pd ymm0,ymm1,ymm2", "\xc4\xe2\xf5\xa8\xc2"},
	{"movups xmm0,[r11]", "\x41\x0f\x10\x03"},
	{"pshufb xmm0,xmm1", "\x66\x0f\x38\x00\xc1"},
	{"div qword ptr [rsp+24]", "\x48\xf7\x74\x24\x18"},
	{"add dword ptr [r11],1", "\x41\x83\x03\x01"},
	{"vaddps zmm0,zmm1,zmm2", "\x62\xf1\x74\x48\x58\xc2"},
	{"cmp byte ptr [r11],0", "\x41\x80\x3b\x00"},
};

UB_CASE(verify_refuses, faults)
{
	CHECK_CALL(refuse_all(test, kFaults, "an instruction that may fault without a fault entry"));
}

constexpr Row kLandingPads[] = {
	{".byte 0xf3,0x0f,0x1e,0xfa", "\xf3\x0f\x1e\xfa"},
	{".byte 0xf3,0x0f,0x1e,0xfb", "\xf3\x0f\x1e\xfb"},
	{"mov eax,0xfa1e0ff3", "\xb8\xf3\x0f\x1e\xfa"},
};

UB_CASE(verify_refuses, landing_pads)
{
	CHECK_CALL(refuse_all(test, kLandingPads, "the bytes of an endbr after the start"));
}

} // namespace
