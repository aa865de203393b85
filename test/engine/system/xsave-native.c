/* Runs one instruction of the XSAVE feature set at a time on the host's processor. Each line of standard input is a
 * case: the operation, EAX and EDX in hex, then the state to begin with (an area of 832 bytes, loaded by XRSTOR64) and the
 * area that the operation gets (896 bytes), in hex. Each line of output is the signal (0 for none), the area, and the
 * state after it as XSAVE64 writes it into zeros. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define STATE 832
#define AREA 896

static uint8_t state[STATE] __attribute__((aligned(64)));
static uint8_t area[AREA] __attribute__((aligned(64)));
static uint8_t after[STATE] __attribute__((aligned(64)));
static uint8_t own[16384] __attribute__((aligned(64)));
static sigjmp_buf escape;
static volatile int caught;

static void on_signal(int number) {
  caught = number;
  siglongjmp(escape, 1);
}

#define OWN(op) __asm__ volatile(op " %0" : "+m"(own) : "a"(-1), "d"(-1) : "memory")
#define CASE(op)                                                                                     \
  __asm__ volatile("mov $7, %%eax\n xor %%edx, %%edx\n xrstor64 %[state]\n"                           \
                   "mov %[eax], %%eax\n mov %[edx], %%edx\n" op " %[area]\n"                          \
                   "mov $7, %%eax\n xor %%edx, %%edx\n xsave64 %[after]\n"                            \
                   : [area] "+m"(area), [after] "+m"(after)                                           \
                   : [state] "m"(state), [eax] "m"(eax), [edx] "m"(edx)                               \
                   : "rax", "rdx", "memory")

static void run(unsigned operation, uint32_t eax, uint32_t edx) {
  switch (operation) {
    case 0: CASE("xsave64"); break;
    case 1: CASE("xsaveopt64"); break;
    case 2: CASE("xsavec64"); break;
    case 3: CASE("xrstor64"); break;
    case 4: CASE("xsave"); break;
    case 5: CASE("xsaveopt"); break;
    case 6: CASE("xsavec"); break;
    case 7: CASE("xrstor"); break;
  }
}

static int read_hex(uint8_t *to, size_t count) {
  for (size_t i = 0; i < count; i++) {
    unsigned byte;
    if (scanf("%2x", &byte) != 1) return 0;
    to[i] = byte;
  }
  return 1;
}

static void print_hex(const uint8_t *from, size_t count) {
  for (size_t i = 0; i < count; i++) printf("%02x", from[i]);
}

int main(void) {
  static volatile unsigned operation, eax, edx;
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  for (;;) {
    unsigned words[3];
    if (scanf("%x %x %x ", &words[0], &words[1], &words[2]) != 3) break;
    operation = words[0], eax = words[1], edx = words[2];
    if (!read_hex(state, STATE) || !read_hex(area, AREA)) break;
    memset(after, 0, STATE);
    caught = 0;
    OWN("xsave64");
    if (sigsetjmp(escape, 1) == 0) run(operation, eax, edx);
    OWN("xrstor64");
    printf("%d ", caught);
    print_hex(area, AREA);
    printf(" ");
    print_hex(after, STATE);
    printf("\n");
  }
  return 0;
}
