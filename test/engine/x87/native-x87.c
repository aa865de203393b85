/* Executes x87 instructions on the host's processor. Each line of standard input holds, in hex: the instruction's bytes,
 * control word, status word, abridged tags, RFLAGS, sixteen words for ST(0) to ST(7) (sign and exponent, significand),
 * and the bytes at RAX, which addresses memory operands. Each line of output: status word, abridged tags, control
 * word, RFLAGS, AX, ST(0) to ST(7) in the same way, and the bytes. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct area {
  uint16_t control, status;
  uint8_t tags, reserved;
  uint16_t opcode;
  uint64_t ip, dp;
  uint32_t mxcsr, mxcsr_mask;
  struct {
    uint64_t low;
    uint16_t high, padding[3];
  } st[8];
  uint8_t rest[512 - 160];
} __attribute__((aligned(16)));

static struct area before, after, own;
static uint8_t memory[128] __attribute__((aligned(64)));

static size_t parse_bytes(const char *hex, uint8_t *bytes) {
  size_t count = 0;
  for (unsigned value; sscanf(hex, "%2x", &value) == 1; hex += 2) bytes[count++] = value;
  return count;
}

int main(void) {
  uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return 2;
  char bytes[64], operand[300];
  unsigned control, status, tags, flags;
  __asm__ volatile("fxsave64 %0" : "=m"(own));
  while (scanf("%63s %x %x %x %x", bytes, &control, &status, &tags, &flags) == 5) {
    before = own;
    before.control = control;
    before.status = status;
    before.tags = tags;
    for (int i = 0; i < 8; i++) {
      unsigned high;
      unsigned long long low;
      if (scanf("%x %llx", &high, &low) != 2) return 3;
      before.st[i].high = high;
      before.st[i].low = low;
    }
    if (scanf("%299s", operand) != 1) return 3;
    memset(memory, 0, sizeof memory);
    parse_bytes(operand, memory);
    code[parse_bytes(bytes, code)] = 0xc3;
    uint64_t rflags = flags, rax = (uint64_t)memory;
    __asm__ volatile("fxrstor64 %[before]\n sub $128, %%rsp\n push %[flags]\n popfq\n call *%[code]\n"
                     "pushfq\n pop %[flags]\n add $128, %%rsp\n fxsave64 %[after]\n fninit\n"
                     : [after] "=m"(after), [flags] "+r"(rflags), "+a"(rax)
                     : [before] "m"(before), [code] "r"(code)
                     : "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7");
    printf("%x %x %x %x %x", after.status, after.tags, after.control, (unsigned)(rflags & 0x8d5),
           (unsigned)(rax & 0xffff));
    for (int i = 0; i < 8; i++) printf(" %x %llx", after.st[i].high, (unsigned long long)after.st[i].low);
    putchar(' ');
    for (size_t i = 0; i < sizeof memory; i++) printf("%02x", memory[i]);
    putchar('\n');
  }
  return 0;
}
