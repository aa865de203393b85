/* Runs one instruction with a VEX prefix at a time on the host's processor. Each line of standard input is a case in
 * hex: the instruction's 16 bytes (padded with NOPs), then the state below; each line of output is the state after it.
 * An unmasked floating-point exception sets `raised`, and the instruction has no other effect but on MXCSR. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct state {
  uint8_t memory[64];
  uint8_t ymm[4][32];
  uint64_t rax, rcx;
  uint32_t mxcsr, flags, raised, unused;
} __attribute__((packed, aligned(64)));

static struct state state;
static const uint32_t default_mxcsr = 0x1f80;
static uint8_t *code;

static void on_exception(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)info;
  state.raised = 1;
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] = (long long)(code + 16);
}

static void run(void) {
  __asm__ volatile(
      "vmovdqu %[ymm0], %%ymm0\n vmovdqu %[ymm1], %%ymm1\n vmovdqu %[ymm2], %%ymm2\n vmovdqu %[ymm3], %%ymm3\n"
      "mov %[rax], %%rax\n mov %[rcx], %%rcx\n lea %[memory], %%rdi\n vldmxcsr %[mxcsr]\n"
      "sub $128, %%rsp\n push $0x202\n popfq\n call *%[code]\n pushfq\n pop %%r9\n add $128, %%rsp\n"
      "vstmxcsr %[mxcsr]\n vldmxcsr %[initial]\n mov %%r9d, %[flags]\n"
      "mov %%rax, %[rax]\n mov %%rcx, %[rcx]\n"
      "vmovdqu %%ymm0, %[ymm0]\n vmovdqu %%ymm1, %[ymm1]\n vmovdqu %%ymm2, %[ymm2]\n vmovdqu %%ymm3, %[ymm3]\n"
      "vzeroupper\n"
      : [ymm0] "+m"(state.ymm[0]), [ymm1] "+m"(state.ymm[1]), [ymm2] "+m"(state.ymm[2]), [ymm3] "+m"(state.ymm[3]),
        [rax] "+m"(state.rax), [rcx] "+m"(state.rcx), [memory] "+m"(state.memory), [mxcsr] "+m"(state.mxcsr),
        [flags] "+m"(state.flags)
      : [code] "r"(code), [initial] "m"(default_mxcsr)
      : "rax", "rcx", "rdi", "r9", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
        "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc", "memory");
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
  code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return 1;
  code[16] = 0xc3;
  struct sigaction action = {.sa_sigaction = on_exception, .sa_flags = SA_SIGINFO};
  sigaction(SIGFPE, &action, NULL);
  while (read_hex(code, 16) && read_hex((uint8_t *)&state, sizeof state)) {
    run();
    state.flags &= 0x8d5;
    for (size_t i = 0; i < sizeof state; i++) printf("%02x", ((uint8_t *)&state)[i]);
    printf("\n");
  }
  return 0;
}
