/* Runs one general-purpose instruction at a time on the host's processor. Each line of standard input is a case in hex:
 * the instruction's 16 bytes (padded with NOPs), then the state below; each line of output is the state after it. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

struct state {
  uint64_t rax, rcx, rdx, rbx, flags;
  uint8_t memory[24];
};

static struct state state;

static void run(void *code) {
  __asm__ volatile(
      "mov %[rax], %%rax\n mov %[rcx], %%rcx\n mov %[rdx], %%rdx\n mov %[rbx], %%rbx\n lea %[memory], %%rdi\n"
      "sub $128, %%rsp\n push %[flags]\n popfq\n call *%[code]\n pushfq\n pop %[flags]\n add $128, %%rsp\n"
      "mov %%rax, %[rax]\n mov %%rcx, %[rcx]\n mov %%rdx, %[rdx]\n mov %%rbx, %[rbx]\n"
      : [rax] "+m"(state.rax), [rcx] "+m"(state.rcx), [rdx] "+m"(state.rdx), [rbx] "+m"(state.rbx),
        [flags] "+m"(state.flags), [memory] "+m"(state.memory)
      : [code] "r"(code)
      : "rax", "rcx", "rdx", "rbx", "rdi", "cc", "memory");
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
    for (size_t i = 0; i < sizeof state; i++) printf("%02x", ((uint8_t *)&state)[i]);
    printf("\n");
  }
  return 0;
}
