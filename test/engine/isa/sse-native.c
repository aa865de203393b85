/* Runs one SSE or MMX instruction at a time on the host's processor. Each line of standard input is a case in hex:
 * the instruction's 16 bytes (padded with NOPs), then the state below; each line of output is the state after it, or
 * where it raised #XM. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct state {
  uint8_t xmm0[16], xmm1[16];
  uint64_t mm0, mm1, rax, rcx;
  uint8_t memory[32];
  uint32_t mxcsr, flags;
  uint64_t rdx;
  uint32_t raised;
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

static sigjmp_buf after;

static void raised(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  const mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
  memcpy(state.xmm0, &machine->fpregs->_xmm[0], 16);
  memcpy(state.xmm1, &machine->fpregs->_xmm[1], 16);
  state.mm0 = *(uint64_t *)&machine->fpregs->_st[0];
  state.mm1 = *(uint64_t *)&machine->fpregs->_st[1];
  state.rax = machine->gregs[REG_RAX];
  state.rcx = machine->gregs[REG_RCX];
  state.rdx = machine->gregs[REG_RDX];
  state.flags = machine->gregs[REG_EFL];
  state.mxcsr = machine->fpregs->mxcsr;
  state.raised = 1;
  __asm__ volatile("ldmxcsr %0\n emms" ::"m"(default_mxcsr));
  siglongjmp(after, 1);
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
  struct sigaction action = {.sa_sigaction = raised, .sa_flags = SA_SIGINFO};
  sigaction(SIGFPE, &action, NULL);
  while (read_hex(code, 16) && read_hex((uint8_t *)&state, sizeof state)) {
    if (sigsetjmp(after, 1) == 0) run(code);
    state.flags &= 0x8d5;
    for (size_t i = 0; i < sizeof state; i++) printf("%02x", ((uint8_t *)&state)[i]);
    printf("\n");
  }
  return 0;
}
