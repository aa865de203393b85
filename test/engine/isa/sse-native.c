/* Runs one SSE or MMX instruction at a time on the host's processor. Each line of standard input is a case in hex:
 * the instruction's 16 bytes (padded with NOPs), then the state below; each line of output is the state after it. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct state {
  uint8_t xmm0[16], xmm1[16];
  uint64_t mm0, mm1, rax, rcx;
  uint8_t memory[32];
  uint32_t mxcsr, flags;
  uint64_t rdx;
} __attribute__((packed, aligned(64)));

static struct state state;
static const uint32_t default_mxcsr = 0x1f80;

static void run(void *code) {
  __asm__ volatile(
      "movdqu %[xmm0], %%xmm0\n movdqu %[xmm1], %%xmm1\n movq %[mm0], %%mm0\n movq %[mm1], %%mm1\n"
      "mov %[rax], %%rax\n mov %[rcx], %%rcx\n mov %[rdx], %%rdx\n lea %[memory], %%rdi\n ldmxcsr %[mxcsr]\n"
      "sub $128, %%rsp\n push $0x202\n popfq\n call *%[code]\n pushfq\n pop %%r9\n add $128, %%rsp\n"
      "stmxcsr %[mxcsr]\n ldmxcsr %[initial]\n mov %%r9d, %[flags]\n"
      "mov %%rax, %[rax]\n mov %%rcx, %[rcx]\n mov %%rdx, %[rdx]\n"
      "movdqu %%xmm0, %[xmm0]\n movdqu %%xmm1, %[xmm1]\n movq %%mm0, %[mm0]\n movq %%mm1, %[mm1]\n emms\n"
      : [xmm0] "+m"(state.xmm0), [xmm1] "+m"(state.xmm1), [mm0] "+m"(state.mm0), [mm1] "+m"(state.mm1),
        [rax] "+m"(state.rax), [rcx] "+m"(state.rcx), [rdx] "+m"(state.rdx),
        [memory] "+m"(state.memory), [mxcsr] "+m"(state.mxcsr), [flags] "+m"(state.flags)
      : [code] "r"(code), [initial] "m"(default_mxcsr)
      : "rax", "rcx", "rdx", "rdi", "r9", "xmm0", "xmm1", "mm0", "mm1", "cc", "memory");
}

static int read_hex(uint8_t *to, size_t count) {
  for (size_t i = 0; i < count; i++) {
    unsigned byte;
    if (scanf("%2x", &byte) != 1) return 0;
    to[i] = byte;
  }
  return 1;
}

int main(void) {
  uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return 1;
  code[16] = 0xc3;
  while (read_hex(code, 16) && read_hex((uint8_t *)&state, sizeof state)) {
    run(code);
    state.flags &= 0x8d5;
    for (size_t i = 0; i < sizeof state; i++) printf("%02x", ((uint8_t *)&state)[i]);
    printf("\n");
  }
  return 0;
}
