/*
 * Six loops whose speed tells how fast a guest runs, each stressing something else. The command line chooses:
 *   loop=collatz n=700000
 * Prints "collatz 700000 <checksum>" on COM1 and leaves through the debug-exit port with 0.
 */
#include <stdint.h>

#include "../entry/ports.h"

/* Keeps the compiler from computing a loop away or turning its branches into conditional moves. */
#define OPAQUE(value) __asm__ volatile("" : "+r"(value))

/* Arithmetic: dependent shifts, multiplications by three and additions, few memory accesses. */
static uint64_t collatz(uint64_t n) {
  uint64_t steps = 0;
  for (uint64_t start = 1; start <= n; start++) {
    for (uint64_t value = start; value != 1; steps++) {
      if (value & 1) {
        value = 3 * value + 1;
        OPAQUE(value);
      } else {
        value >>= 1;
        OPAQUE(value);
      }
    }
  }
  return steps;
}

/* Branches that depend on random data. */
static uint64_t xorshift(uint64_t n) {
  uint64_t state = 88172645463325252, odd = 0, low = 0, high = 0;
  for (uint64_t i = 0; i < n; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    if (state & 1) {
      odd += state;
      OPAQUE(odd);
    }
    if ((state & 0x30) == 0) {
      low ^= state;
      OPAQUE(low);
    } else if (state & 0x40) {
      high += i;
      OPAQUE(high);
    }
  }
  return odd ^ low ^ high;
}

/* Loads and stores in order: 64 KB, eight bytes at a time. */
static uint64_t copy_source[8192], copy_target[8192];

static uint64_t copy(uint64_t n) {
  for (uint64_t i = 0; i < 8192; i++) copy_source[i] = i * 0x9E3779B97F4A7C15;
  for (uint64_t round = 0; round < n; round++) {
    copy_source[round & 8191] += round;
    for (uint64_t i = 0; i < 8192; i += 4) {
      copy_target[i] = copy_source[i];
      copy_target[i + 1] = copy_source[i + 1];
      copy_target[i + 2] = copy_source[i + 2];
      copy_target[i + 3] = copy_source[i + 3];
    }
    __asm__ volatile("" : : : "memory");
  }
  uint64_t sum = 0;
  for (uint64_t i = 0; i < 8192; i++) sum = sum * 31 + copy_target[i];
  return sum;
}

/* Byte stores with growing strides over one megabyte: many pages. */
static uint8_t composite[1 << 20];

static uint64_t sieve(uint64_t n) {
  uint64_t primes = 0;
  for (uint64_t round = 0; round < n; round++) {
    for (uint64_t i = 0; i < sizeof composite; i++) composite[i] = 0;
    for (uint64_t i = 2; i * i < sizeof composite; i++) {
      if (composite[i]) continue;
      for (uint64_t j = i * i; j < sizeof composite; j += i) composite[j] = 1;
    }
    for (uint64_t i = 2; i < sizeof composite; i++) primes += !composite[i];
  }
  return primes;
}

/* Calls, returns and the stack. */
__attribute__((noinline, optimize("no-optimize-sibling-calls", "no-inline"))) static uint64_t fibonacci(uint64_t n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

/* Indirect jumps: a bytecode interpreter with one jump through a table for each operation. */
enum { PUSH, ADD, XOR, SHIFT, DUPLICATE, SWAP, LOOP, END };

static uint64_t interpret(uint64_t n) {
  static const uint8_t program[] = {PUSH, 7, ADD,  DUPLICATE, SHIFT, 3, XOR,  PUSH, 5,   SWAP,
                                    ADD,  DUPLICATE, SHIFT, 1, ADD,  PUSH, 99, XOR, LOOP, END};
  static const void *const operations[] = {&&push, &&add, &&xor, &&shift, &&duplicate, &&swap, &&loop, &&end};
  uint64_t stack[64];
  uint64_t *top = stack;
  const uint8_t *next = program;
  *top = 1;
#define DISPATCH goto *operations[*next++]
  DISPATCH;
push:
  *++top = *next++;
  DISPATCH;
add:
  top--;
  top[0] += top[1];
  DISPATCH;
xor:
  top--;
  top[0] ^= top[1];
  DISPATCH;
shift:
  top[0] >>= *next++;
  DISPATCH;
duplicate:
  top[1] = top[0];
  top++;
  DISPATCH;
swap: {
  uint64_t value = top[0];
  top[0] = top[-1];
  top[-1] = value;
  DISPATCH;
}
loop:
  if (--n) next = program;
  DISPATCH;
end:
  return top[0];
}

/* Each default is about a thousand million instructions. */
static const struct {
  const char *name;
  uint64_t (*run)(uint64_t);
  uint64_t n;
} loops[] = {
    {"collatz", collatz, 2000000}, {"xorshift", xorshift, 60000000}, {"memcpy", copy, 40000},
    {"sieve", sieve, 60},          {"fib", fibonacci, 36},           {"interpreter", interpret, 10000000},
};

static void print(const char *text) {
  while (*text) serial_character(*text++);
}

static void print_number(uint64_t value) {
  char digits[21];
  char *first = digits + sizeof digits - 1;
  *first = 0;
  do *--first = (char)('0' + value % 10);
  while (value /= 10);
  print(first);
}

/* What follows `key` in the command line, or 0. */
static const char *argument(const char *command_line, const char *key) {
  for (; *command_line; command_line++) {
    const char *text = command_line, *wanted = key;
    while (*wanted && *text == *wanted) text++, wanted++;
    if (!*wanted) return text;
  }
  return 0;
}

static int is_word(const char *text, const char *word) {
  while (*word && *text == *word) text++, word++;
  return !*word && (*text == 0 || *text == ' ');
}

static uint64_t number(const char *text) {
  uint64_t value = 0;
  while (*text >= '0' && *text <= '9') value = value * 10 + (uint64_t)(*text++ - '0');
  return value;
}

/* Multiboot 1, 3.3: bit 2 of the flags says that the command line's address, at offset 16, is valid. */
static const char *command_line(const uint32_t *information) {
  return information[0] & 4 ? (const char *)(uint64_t)information[4] : "";
}

void kernel_main(const uint32_t *information) {
  const char *arguments = command_line(information);
  const char *name = argument(arguments, "loop=");
  const char *count = argument(arguments, " n=");
  for (unsigned i = 0; name && i < sizeof loops / sizeof *loops; i++) {
    if (!is_word(name, loops[i].name)) continue;
    uint64_t n = count ? number(count) : loops[i].n;
    uint64_t checksum = loops[i].run(n);
    print(loops[i].name);
    print(" ");
    print_number(n);
    print(" ");
    print_number(checksum);
    print("\n");
    outb(DEBUG_EXIT, 0);
  }
  print("usage: loop=collatz|xorshift|memcpy|sieve|fib|interpreter n=COUNT\n");
  outb(DEBUG_EXIT, 1);
}
