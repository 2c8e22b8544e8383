// SPDX-License-Identifier: GPL-2.0
/*
 * Images the verifier accepts: each way a clause of the contract can be kept.
 */
#include "verify_rows.h"

namespace {

using namespace ub::testing;

constexpr Row kPlainInteger[] = {
	{"nop", "\x90"},
	{"mov rax,rbx; mov eax,1; movabs rax,0xffffffff81000000; mov ah,bl; mov r8w,cx",
	 "\x48\x89\xd8\xb8\x01\x00\x00\x00\x48\xb8\x00\x00\x00\x81\xff\xff\xff\xff\x88\xdc\x66\x41\x89\xc8"},
	{"add rax,rcx; adc edx,1; sub bl,dl; sbb rsi,rdi; cmp rax,-1; inc r8; dec r15d; neg rax; not rcx",
	 "\x48\x01\xc8\x83\xd2\x01\x28\xd3\x48\x19\xfe\x48\x83\xf8\xff\x49\xff\xc0\x41\xff\xcf\x48\xf7\xd8\x48\xf7\xd1"},
	{"mul rcx; imul rdx; imul rax,rbx; imul eax,ebx,100; mulx rax,rbx,rcx",
	 "\x48\xf7\xe1\x48\xf7\xea\x48\x0f\xaf\xc3\x6b\xc3\x64\xc4\xe2\xe3\xf6\xc1"},
	{"div rcx; idiv ebx", "\x48\xf7\xf1\xf7\xfb", {0, 3}},
	{"popcnt rax,rbx; crc32 eax,cl; adcx rax,rbx; adox rax,rbx",
	 "\xf3\x48\x0f\xb8\xc3\xf2\x0f\x38\xf0\xc1\x66\x48\x0f\x38\xf6\xc3\xf3\x48\x0f\x38\xf6\xc3", {0, 5, 10, 16}},
	{"shl rax,3; sar ebx,cl; rol cx,1; rcr rdx,1; shld rax,rbx,4; shrd eax,ebx,cl; shlx rax,rbx,rcx; rorx eax,ebx,7",
	 "\x48\xc1\xe0\x03\xd3\xfb\x66\xd1\xc1\x48\xd1\xda\x48\x0f\xa4\xd8\x04\x0f\xad\xd8\xc4\xe2\xf1\xf7\xc3\xc4\xe3\x7b\xf0\xc3\x07"},
	{"bt rax,rbx; bts eax,5; btr rcx,63; btc dx,ax; bsf rax,rbx; bsr eax,ebx; tzcnt rax,rbx; lzcnt eax,ebx",
	 "\x48\x0f\xa3\xd8\x0f\xba\xe8\x05\x48\x0f\xba\xf1\x3f\x66\x0f\xbb\xc2\x48\x0f\xbc\xc3\x0f\xbd\xc3\xf3\x48\x0f\xbc\xc3\xf3\x0f\xbd\xc3"},
	{"andn rax,rbx,rcx; bextr eax,ebx,ecx; blsi rax,rbx; blsmsk rax,rbx; blsr rax,rbx; bzhi rax,rbx,rcx; pdep rax,rbx,rcx; pext rax,rbx,rcx",
	 "\xc4\xe2\xe0\xf2\xc1\xc4\xe2\x70\xf7\xc3\xc4\xe2\xf8\xf3\xdb\xc4\xe2\xf8\xf3\xd3\xc4\xe2\xf8\xf3\xcb\xc4\xe2\xf0\xf5\xc3\xc4\xe2\xe3\xf5\xc1\xc4\xe2\xe2\xf5\xc1"},
	{"cbw; cwde; cdqe; cwd; cdq; cqo; lahf; sahf; cmc; clc; stc; cld",
	 "\x66\x98\x98\x48\x98\x66\x99\x99\x48\x99\x9f\x9e\xf5\xf8\xf9\xfc"},
	{"setz al; setnbe dil; cmovz rax,rbx; cmovl ecx,edx; bswap rax; xchg rax,rbx; xadd rax,rbx; cmpxchg rbx,rcx; movsx rax,cl; movsxd rax,ecx",
	 "\x0f\x94\xc0\x40\x0f\x97\xc7\x48\x0f\x44\xc3\x0f\x4c\xca\x48\x0f\xc8\x48\x93\x48\x0f\xc1\xd8\x48\x0f\xb1\xcb\x48\x0f\xbe\xc1\x48\x63\xc1"},
	{"rdtsc; rdtscp", "\x0f\x31\x0f\x01\xf9", {2}},
	{"rdrand eax; rdseed rcx; rdpid rax", "\x0f\xc7\xf0\x48\x0f\xc7\xf9\xf3\x0f\xc7\xf8", {0, 3, 7}},
	{"lfence; mfence; sfence; pause", "\x0f\xae\xe8\x0f\xae\xf0\x0f\xae\xf8\xf3\x90"},
	{"xchg ax,ax; nop dword ptr [rax]; nop word ptr [rax+rax*1+0]; nop dword ptr [rsp+8]",
	 "\x66\x90\x0f\x1f\x00\x66\x0f\x1f\x04\x00\x0f\x1f\x44\x24\x08"},
	{"lea rax,[rbx+rcx*8+5]; lea eax,[rbx]; lea rax,[rbx*4+0x1000]",
	 "\x48\x8d\x44\xcb\x05\x8d\x03\x48\x8d\x04\x9d\x00\x10\x00\x00"},
};

UB_CASE(verify_accepts, plain_integer)
{
	CHECK_CALL(accept_all(test, kPlainInteger));
}

constexpr Row kFrameSlots[] = {
	{"mov rax,[rsp]; mov [rsp],rbx; mov rcx,[rsp+8]; mov [rsp+8],rdx; mov rax,[rsp+16]; mov [rsp+16],rax",
	 "\x48\x8b\x04\x24\x48\x89\x1c\x24\x48\x8b\x4c\x24\x08\x48\x89\x54\x24\x08\x48\x8b\x44\x24\x10\x48\x89\x44\x24\x10"},
	{"mov [rsp+24],rcx; mov rcx,[rsp+24]; mov [rsp+32],rcx; mov rcx,[rsp+32]; mov [rsp+40],rcx; mov rcx,[rsp+40]",
	 "\x48\x89\x4c\x24\x18\x48\x8b\x4c\x24\x18\x48\x89\x4c\x24\x20\x48\x8b\x4c\x24\x20\x48\x89\x4c\x24\x28\x48\x8b\x4c\x24\x28"},
	{"mov r9,[rsp+48]; mov r10,[rsp+56]; add qword ptr [rsp],1; mov [rsp+4],eax; mov [rsp+7],al; mov byte ptr [rsp+23],1; cmp dword ptr [rsp+12],5",
	 "\x4c\x8b\x4c\x24\x30\x4c\x8b\x54\x24\x38\x48\x83\x04\x24\x01\x89\x44\x24\x04\x88\x44\x24\x07\xc6\x44\x24\x17\x01\x83\x7c\x24\x0c\x05"},
	{"div qword ptr [rsp+24]", "\x48\xf7\x74\x24\x18", {0}},
};

UB_CASE(verify_accepts, frame_slots)
{
	CHECK_CALL(accept_all(test, kFrameSlots));
}

constexpr Row kMaskedAccesses1[] = {
	{"mov r9,rax; and r9,r10; mov rbx,[r9]", "\x49\x89\xc1\x4d\x21\xd1\x49\x8b\x19", {6}},
	{"pdep r9,rdi,r10; mov [r9+0x10],eax; add qword ptr [r9-8],rax",
	 "\xc4\x42\xc3\xf5\xca\x41\x89\x41\x10\x49\x01\x41\xf8", {5, 9}},
	{"lea r9,[rdi+rsi*8+0x20]; and r9,r10; movzx eax,byte ptr [r9]; mov [r9+0x7fffffbf],al",
	 "\x4c\x8d\x4c\xf7\x20\x4d\x21\xd1\x41\x0f\xb6\x01\x41\x88\x81\xbf\xff\xff\x7f", {8, 12}},
	{"mov r9d,0; btr rdi,47; mov rax,[rdi]", "\x41\xb9\x00\x00\x00\x00\x48\x0f\xba\xf7\x2f\x48\x8b\x07", {11}},
	{"mov r10,rax; mov r10,[rsp+56]; and r10,rbx; mov r10,[rsp+56]; and rdi,r10; mov rax,[rdi]",
	 "\x49\x89\xc2\x4c\x8b\x54\x24\x38\x49\x21\xda\x4c\x8b\x54\x24\x38\x4c\x21\xd7\x48\x8b\x07", {19}},
	{"movabs r8,0xffff7fffffffffff; and rdi,r8; mov rax,[rdi]",
	 "\x49\xb8\xff\xff\xff\xff\xff\x7f\xff\xff\x4c\x21\xc7\x48\x8b\x07", {13}},
	{"and rdi,r10; mov rsi,rdi; lea rdx,[rsi-0x100000]; mov rax,[rdx-0xfffc0]; mov rax,[rsi-0x180000]; mov rax,[rsi-0x180000]",
	 "\x4c\x21\xd7\x48\x89\xfe\x48\x8d\x96\x00\x00\xf0\xff\x48\x8b\x82\x40\x00\xf0\xff\x48\x8b\x86\x00\x00\xe8\xff\x48\x8b\x86\x00\x00\xe8\xff", {13, 20, 27}},
	{"pdep r9,rdi,r10; mov eax,[r9-0x1fffc0]", "\xc4\x42\xc3\xf5\xca\x41\x8b\x81\x40\x00\xe0\xff", {5}},
	{"and rdi,r10; cmp rdi,rdi; lock add dword ptr [rdi],1; xchg [rdi],rax; lock cmpxchg [rdi],rcx; lock cmpxchg16b [rdi]",
	 "\x4c\x21\xd7\x48\x39\xff\xf0\x83\x07\x01\x48\x87\x07\xf0\x48\x0f\xb1\x0f\xf0\x48\x0f\xc7\x0f", {6, 10, 13, 18}},
	{"and rdi,r10; prefetcht0 [rdi]; movnti [rdi],eax; setz [rdi]; movbe eax,[rdi]; cmovz rax,[rdi]; bt qword ptr [rdi],7",
	 "\x4c\x21\xd7\x0f\x18\x0f\x0f\xc3\x07\x0f\x94\x07\x0f\x38\xf0\x07\x48\x0f\x44\x07\x48\x0f\xba\x27\x07", {3, 6, 9, 12, 16, 20}},
	{"and rdi,r10; jz L1; and rsi,r10; mov rdi,rsi; L1: mov rax,[rdi]",
	 "\x4c\x21\xd7\x74\x06\x4c\x21\xd6\x48\x89\xf7\x48\x8b\x07", {11}},
};

constexpr Row kMaskedAccesses2[] = {
	{"movabs r8,0xfeffffffffffffff; pdep rdi,rdi,r8; and rsi,r8; mov rax,[rdi]; mov rax,[rsi]",
	 "\x49\xb8\xff\xff\xff\xff\xff\xff\xff\xfe\xc4\xc2\xc3\xf5\xf8\x4c\x21\xc6\x48\x8b\x07\x48\x8b\x06", {18, 21}},
};

UB_CASE(verify_accepts, masked_accesses)
{
	CHECK_CALL(accept_all(test, kMaskedAccesses1));
	CHECK_CALL(accept_all(test, kMaskedAccesses2, Machine::kLa57));
}

constexpr Row kUserConstants[] = {
	{"movabs r9,0x7fffffffe000; mov rax,[r9]; mov r9d,0x404000; mov rax,[r9]; mov rax,[r9+0x100]; mov rsi,0x404000; mov eax,[rsi]",
	 "\x49\xb9\x00\xe0\xff\xff\xff\x7f\x00\x00\x49\x8b\x01\x41\xb9\x00\x40\x40\x00\x49\x8b\x01\x49\x8b\x81\x00\x01\x00\x00\x48\xc7\xc6\x00\x40\x40\x00\x8b\x06", {10, 19, 22, 36}},
	{"mov edi,[r11]; mov eax,[rdi]; movzx edi,cx; mov [rdi],al; lea edi,[rbx+rcx*4]; mov [rdi],al; movzx rdi,bl; mov al,[rdi]",
	 "\x41\x8b\x3b\x8b\x07\x0f\xb7\xf9\x88\x07\x8d\x3c\x8b\x88\x07\x48\x0f\xb6\xfb\x8a\x07", {0, 3, 8, 13, 19}},
	{"mov rax,[0x10000]; mov eax,ds:0x7fffffbf",
	 "\x48\x8b\x04\x25\x00\x00\x01\x00\x8b\x04\x25\xbf\xff\xff\x7f", {0, 8}},
};

UB_CASE(verify_accepts, user_constants)
{
	CHECK_CALL(accept_all(test, kUserConstants));
}

constexpr Row kFsAccesses[] = {
	{"mov rax,fs:0x28; mov rax,fs:[0xffffffffffffff80]; sub rax,fs:0; mov fs:0x7fffffbf,al; mov al,fs:[0xffffffffffe00040]",
	 "\x64\x48\x8b\x04\x25\x28\x00\x00\x00\x64\x48\x8b\x04\x25\x80\xff\xff\xff\x64\x48\x2b\x04\x25\x00\x00\x00\x00\x64\x88\x04\x25\xbf\xff\xff\x7f\x64\x8a\x04\x25\x40\x00\xe0\xff", {0, 9, 18, 27, 35}},
};

UB_CASE(verify_accepts, fs_accesses)
{
	CHECK_CALL(accept_all(test, kFsAccesses));
}

constexpr Row kStackAccesses[] = {
	{"mov rax,[r11]; mov [r11-8],rbx; lea r11,[r11-8]; mov rbx,[r11]; lea r11,[r11+8]; mov rax,[r11+0x3fe00000]",
	 "\x49\x8b\x03\x49\x89\x5b\xf8\x4d\x8d\x5b\xf8\x49\x8b\x1b\x4d\x8d\x5b\x08\x49\x8b\x83\x00\x00\xe0\x3f", {0, 3, 11, 18}},
	{"lea r11,[r11-0x100000]; mov rax,[r11]", "\x4d\x8d\x9b\x00\x00\xf0\xff\x49\x8b\x03", {7}},
	{"mov rbp,r11; lea r11,[r11-0x1000]; mov [rbp-0x10],rax; mov [r11],rax; mov r11,rbp; mov rax,[r11]",
	 "\x4c\x89\xdd\x4d\x8d\x9b\x00\xf0\xff\xff\x48\x89\x45\xf0\x49\x89\x03\x49\x89\xeb\x49\x8b\x03", {10, 14, 20}},
	{"mov r9,rax; and r9,r10; mov r11,r9; mov rax,[r11]", "\x49\x89\xc1\x4d\x21\xd1\x4d\x89\xcb\x49\x8b\x03", {9}},
	{"sub r11,0x20; add r11,-8; inc r11; dec r11; mov rax,[r11]",
	 "\x49\x83\xeb\x20\x49\x83\xc3\xf8\x49\xff\xc3\x49\xff\xcb\x49\x8b\x03", {14}},
	{"sub r11,0x80000; mov al,[r11+0x7fffffc0]", "\x49\x81\xeb\x00\x00\x08\x00\x41\x8a\x83\xc0\xff\xff\x7f", {7}},
	{"add r11,0x80000; mov al,[r11-0x27ffc0]", "\x49\x81\xc3\x00\x00\x08\x00\x41\x8a\x83\x40\x00\xd8\xff", {7}},
};

UB_CASE(verify_accepts, stack_accesses)
{
	CHECK_CALL(accept_all(test, kStackAccesses));
}

constexpr Row kDriftingLoops[] = {
	{"L0: poll; mov [r11-8],rax; lea r11,[r11-8]; dec rcx; jmp L0",
	 POLL("\x0d\x00\x00\x00") "\x49\x89\x43\xf8\x4d\x8d\x5b\xf8\x48\xff\xc9\xeb\xe1", {18}},
	{"L0: poll; mov rax,[r11]; lea r11,[r11+8]; dec rcx; jnz L0",
	 POLL("\x0c\x00\x00\x00") "\x49\x8b\x03\x4d\x8d\x5b\x08\x48\xff\xc9\x75\xe2", {18}},
	{"L0: live poll; lea r11,[r11-0x400]; mov [r11],rax; jmp L0",
	 LIVE_POLL("\x11\x00\x00\x00") "\x4d\x8d\x9b\x00\xfc\xff\xff\x49\x89\x03\xeb\xcc", {47}},
	{"and rdi,r10; L0: live poll; cmp byte ptr [rdi],0; lea rdi,[rdi+1]; jnz L0",
	 "\x4c\x21\xd7" LIVE_POLL("\x0e\x00\x00\x00") "\x80\x3f\x00\x48\x8d\x7f\x01\x75\xcf", {43}},
	{"L0: poll; lea r11,[r11-0x2000]; mov [r11],rax; lea r11,[r11+0x2000]; jmp L0",
	 POLL("\x13\x00\x00\x00") "\x4d\x8d\x9b\x00\xe0\xff\xff\x49\x89\x03\x4d\x8d\x9b\x00\x20\x00\x00\xeb\xdb", {25}},
	{"L0: poll; L1: poll; L2: poll; L3: poll; L4: poll; lea r11,[r11-0x3f0]; mov [r11],rax; jz L4; lea r11,[r11-0x3f0]; mov [r11],rax; jz L3; lea r11,[r11-0x3f0]; mov [r11],rax; jz L2; lea r11,[r11-0x3f0]; mov [r11],rax; jz L1; lea r11,[r11-0x3f0]; mov [r11],rax; jz L0",
	 POLL("\x8c\x00\x00\x00") POLL("\x7a\x00\x00\x00") POLL("\x68\x00\x00\x00") POLL("\x56\x00\x00\x00") POLL("\x44\x00\x00\x00") "\x4d\x8d\x9b\x10\xfc\xff\xff\x49\x89\x03\x74\xe2\x4d\x8d\x9b\x10\xfc\xff\xff\x49\x89\x03\x74\xc4\x4d\x8d\x9b\x10\xfc\xff\xff\x49\x89\x03\x74\xa6\x4d\x8d\x9b\x10\xfc\xff\xff\x49\x89\x03\x0f\x84\x84\xff\xff\xff\x4d\x8d\x9b\x10\xfc\xff\xff\x49\x89\x03\x0f\x84\x62\xff\xff\xff", {97, 109, 121, 133, 149}},
};

UB_CASE(verify_accepts, drifting_loops)
{
	CHECK_CALL(accept_all(test, kDriftingLoops));
}

constexpr Row kBranches[] = {
	{"jz L1; mov eax,1; L1: jmp L2; nop; L2: jrcxz L3; L3: jz stub",
	 "\x74\x05\xb8\x01\x00\x00\x00\xeb\x01\x90\xe3\x00\x74\x00"},
	{"jz L1; nop; L1: jmp stub; mov rax,rbx", "\x0f\x84\x01\x00\x00\x00\x90\xe9\x03\x00\x00\x00\x48\x89\xd8"},
	{"mov r9,rax; and r9,r10; mov dl,[r9]; add rax,1; jz stub; mov dl,[r9+1]",
	 "\x49\x89\xc1\x4d\x21\xd1\x41\x8a\x11\x48\x83\xc0\x01\x74\x04\x41\x8a\x51\x01", {6, 15}},
	{"mov r9,rax; and r9,r10; jz L1; mov dl,[r9]; L1: mov dl,[r9+1]",
	 "\x49\x89\xc1\x4d\x21\xd1\x74\x03\x41\x8a\x11\x41\x8a\x51\x01", {8, 11}},
	{"mov r9d,0x1000; jmp L1; L1: mov rax,[r9]", "\x41\xb9\x00\x10\x00\x00\xe9\x00\x00\x00\x00\x49\x8b\x01", {11}},
};

UB_CASE(verify_accepts, branches)
{
	CHECK_CALL(accept_all(test, kBranches));
}

constexpr Row kPolls[] = {
	{"poll", POLL("\x00\x00\x00\x00")},
	{"live poll", LIVE_POLL("\x05\x00\x00\x00")},
	{"L0: poll; dec rcx; jnz L0", POLL("\x05\x00\x00\x00") "\x48\xff\xc9\x75\xe9"},
	{"L0: live poll; jmp L0", LIVE_POLL("\x07\x00\x00\x00") "\xeb\xd6"},
	{"L0: dec rcx; live poll; jnz L0", "\x48\xff\xc9" LIVE_POLL("\x07\x00\x00\x00") "\x75\xd3"},
	{"L0: dec rcx; poll; jmp L0", "\x48\xff\xc9" POLL("\x02\x00\x00\x00") "\xeb\xe9"},
	{"L0: poll; xor eax,eax; L1: poll; dec rcx; jnz L1; dec rdx; jnz L0",
	 POLL("\x1e\x00\x00\x00") "\x31\xc0" POLL("\x0a\x00\x00\x00") "\x48\xff\xc9\x75\xe9\x48\xff\xca\x75\xd0"},
	{"L0: poll; dec rcx; jz stub; dec rcx; jnz L0", POLL("\x0a\x00\x00\x00") "\x48\xff\xc9\x74\x05\x48\xff\xc9\x75\xe4"},
	{"poll; mov r9,rax; mov rbx,r9", POLL("\x06\x00\x00\x00") "\x49\x89\xc1\x4c\x89\xcb"},
	{"poll; mov r9d,5; mov rbx,r9", POLL("\x09\x00\x00\x00") "\x41\xb9\x05\x00\x00\x00\x4c\x89\xcb"},
};

UB_CASE(verify_accepts, polls)
{
	CHECK_CALL(accept_all(test, kPolls));
}

constexpr Row kVectors1[] = {
	{"movups xmm0,[r11]; movaps xmm1,xmm0; pxor xmm2,xmm2; movq rax,xmm0; pmovmskb eax,xmm0",
	 "\x41\x0f\x10\x03\x0f\x28\xc8\x66\x0f\xef\xd2\x66\x48\x0f\x7e\xc0\x66\x0f\xd7\xc0", {0}},
	{"addsd xmm0,xmm1; cvtsi2sd xmm0,rax; divss xmm0,xmm1",
	 "\xf2\x0f\x58\xc1\xf2\x48\x0f\x2a\xc0\xf3\x0f\x5e\xc1", {0, 4, 9}},
	{"pshufb xmm0,xmm1; pcmpistri xmm0,xmm1,0; aesenc xmm0,xmm1; movsd xmm0,xmm1; cmpsd xmm0,xmm1,1",
	 "\x66\x0f\x38\x00\xc1\x66\x0f\x3a\x63\xc1\x00\x66\x0f\x38\xdc\xc1\xf2\x0f\x10\xc1\xf2\x0f\xc2\xc1\x01", {0, 5, 11, 20}},
	{"vpcmpeqb ymm0,ymm1,[r11]; vpmovmskb eax,ymm0; vzeroupper; vmovdqu [r11],ymm2",
	 "\xc4\xc1\x75\x74\x03\xc5\xfd\xd7\xc0\xc5\xf8\x77\xc4\xc1\x7e\x7f\x13", {0, 12}},
	{"vmovdqu64 zmm16,[r11]; vpcmpub k0,ymm16,ymm17,1; kmovd eax,k0; kortestd k0,k1; vpternlogd ymm16,ymm17,ymm18,0xde; vmovdqu8 [r11]{k1},ymm16; vptestnmb k1,ymm16,ymm16; vpminub ymm16,ymm17,[r11+0x20]",
	 "\x62\xc1\xfe\x48\x6f\x03\x62\xb3\x7d\x20\x3e\xc1\x01\xc5\xfb\x93\xc0\xc4\xe1\xf9\x98\xc1\x62\xa3\x75\x20\x25\xc2\xde\x62\xc1\x7f\x29\x7f\x03\x62\xb2\x7e\x20\x26\xc8\x62\xc1\x75\x20\xda\x43\x01", {0, 29, 41}},
	{"vpcompressd [r11]{k1},zmm0; vpexpandq zmm1{k1}{z},[r11+0x40]; vpermb zmm0,zmm1,zmm2; vaddpd zmm1,zmm2,[r11+8]{1to8}",
	 "\x62\xd2\x7d\x49\x8b\x03\x62\xd2\xfd\xc9\x89\x4b\x08\x62\xf2\x75\x48\x8d\xc2\x62\xd1\xed\x58\x58\x4b\x01", {0, 6, 13, 19}},
	{"stmxcsr [r11]; movd eax,xmm1", "\x41\x0f\xae\x1b\x66\x0f\x7e\xc8", {0}},
	{"fnstcw [r11]; and rdi,r10; fnstcw [rdi+8]", "\x41\xd9\x3b\x4c\x21\xd7\xd9\x7f\x08", {0, 6}},
	{"ldmxcsr [r11]; vldmxcsr [r11]", "\x41\x0f\xae\x13\xc4\xc1\x78\xae\x13", {0, 4}},
	{"vmaskmovps ymm0,ymm1,[r11]; vpmaskmovd [r11],ymm1,ymm0", "\xc4\xc2\x75\x2c\x03\xc4\xc2\x75\x8e\x03", {0, 5}},
};

constexpr Row kVectors2[] = {
	{"and rax,rbx; andn rax,rbx,rcx", "\x48\x21\xd8\xc4\xe2\xe0\xf2\xc1"},
};

constexpr Row kVectors3[] = {
	{"prefetchnta [r11]", "\x41\x0f\x18\x03", {0}},
};

UB_CASE(verify_accepts, vectors)
{
	CHECK_CALL(accept_all(test, kVectors1, Machine::kFull, Fpu::kUsed));
	CHECK_CALL(accept_all(test, kVectors2, Machine::kBare, Fpu::kUnused));
	CHECK_CALL(accept_all(test, kVectors3, Machine::kFull, Fpu::kUnused));
}

constexpr Row kLocks1[] = {
	{"lock add dword ptr [r11],1; xchg rax,rbx", "\xf0\x41\x83\x03\x01\x48\x93", {0}},
};

constexpr Row kLocks2[] = {
	{"xchg rax,rbx; add dword ptr [r11],1; xadd [r11],rax", "\x48\x93\x41\x83\x03\x01\x49\x0f\xc1\x03", {2, 6}},
};

UB_CASE(verify_accepts, locks)
{
	CHECK_CALL(accept_all(test, kLocks1));
	CHECK_CALL(accept_all(test, kLocks2, Machine::kNoLocks));
}

} // namespace
