/*
 * Runs the scenarios of user mode on the processor of the host: takes an input of `struct input` and the image, writes
 * a `struct outcome` for each scenario. Both are files, named first and second; outcome.ts says the same in TypeScript.
 *
 * A scenario ends in a signal. The handler takes the outcome from the signal's frame, sets memory and registers for the
 * next one, and returns into it, so that the kernel loads all of the state.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

struct region {
  uint64_t address;
  uint32_t bytes, protection;
  /* Bytes that it holds before each scenario, in the lowest 8 bits; bit 8: it is filled again each time. */
  uint32_t fill, reserved;
};
struct input {
  uint32_t scenarios, segments, regions, image_bytes;
  uint64_t image, stack_pointer;
  uint64_t registers[16];
  uint64_t flags;
  struct region region[8];
  struct user_desc segment[64];
};
struct scenario {
  uint32_t start, code_selector;
};
struct outcome {
  uint64_t gpr[16], rip, flags, cr2, memory;
  uint32_t vector, error;
  uint16_t cs, ss, ds, es, fs, gs, reserved[2];
};
_Static_assert(sizeof(struct region) == 24 && sizeof(struct user_desc) == 16, "image.ts has these sizes");
_Static_assert(sizeof(struct outcome) == 184, "outcome.ts has this size");

static const int GPR_ORDER[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static struct input *input;
static const struct scenario *scenarios;
static struct outcome *outcomes;
static int64_t current = -1;
static const char *output_path;
static uint64_t own_fs_base;

#define READ_SELECTOR(name, to) __asm__ volatile("mov %%" #name ",%0" : "=r"(to))
#define LOAD_SELECTOR(name, from) __asm__ volatile("mov %0,%%" #name : : "r"((uint32_t)(from)))

static void fail(const char *what) {
  perror(what);
  _exit(1);
}

/* FNV-1a over what a scenario may have written. */
static uint64_t hash_memory(void) {
  uint32_t hash = 0x811c9dc5;
  for (uint32_t i = 0; i < input->regions; i++) {
    const struct region *region = &input->region[i];
    if (!(region->fill & 0x100)) continue;
    const uint8_t *bytes = (const uint8_t *)region->address;
    for (uint32_t at = 0; at < region->bytes; at++) hash = (hash ^ bytes[at]) * 0x01000193;
  }
  return hash;
}

static void finish(void) {
  int file = open(output_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  size_t bytes = input->scenarios * sizeof *outcomes;
  if (file < 0 || write(file, outcomes, bytes) != (ssize_t)bytes) fail(output_path);
  _exit(0);
}

static void take(const mcontext_t *machine, const uint16_t *selectors) {
  struct outcome *outcome = &outcomes[current];
  for (int i = 0; i < 16; i++) outcome->gpr[i] = machine->gregs[GPR_ORDER[i]];
  outcome->rip = machine->gregs[REG_RIP];
  outcome->flags = machine->gregs[REG_EFL];
  outcome->vector = machine->gregs[REG_TRAPNO];
  outcome->error = machine->gregs[REG_ERR];
  outcome->cr2 = outcome->vector == 14 ? machine->gregs[REG_CR2] : 0;
  outcome->cs = machine->gregs[REG_CSGSFS] & 0xffff;
  outcome->ss = machine->gregs[REG_CSGSFS] >> 48;
  memcpy(&outcome->ds, selectors, 4 * sizeof *selectors);
  outcome->memory = hash_memory();
}

static void prepare(mcontext_t *machine) {
  const struct scenario *scenario = &scenarios[current];
  for (uint32_t i = 0; i < input->regions; i++) {
    const struct region *region = &input->region[i];
    if (region->fill & 0x100) memset((void *)region->address, region->fill & 0xff, region->bytes);
  }
  for (int i = 0; i < 16; i++) machine->gregs[GPR_ORDER[i]] = input->registers[i];
  machine->gregs[REG_RIP] = scenario->start;
  machine->gregs[REG_EFL] = input->flags;
  machine->gregs[REG_CSGSFS] = (0x2bULL << 48) | scenario->code_selector;
  machine->fpregs->cwd = 0x37f;
  machine->fpregs->swd = 0;
  machine->fpregs->ftw = 0;
  machine->fpregs->mxcsr = 0x1f80;
  memset(machine->fpregs->_xmm, 0, sizeof machine->fpregs->_xmm);
}

static void handle(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)info;
  /* The kernel leaves AC, NT and ID as the scenario had them. */
  __asm__ volatile("pushfq\n andl $~0x244000, (%%rsp)\n popfq" : : : "cc", "memory");
  uint16_t selectors[4];
  READ_SELECTOR(ds, selectors[0]);
  READ_SELECTOR(es, selectors[1]);
  READ_SELECTOR(fs, selectors[2]);
  READ_SELECTOR(gs, selectors[3]);
  __asm__ volatile("wrfsbase %0" : : "r"(own_fs_base));
  mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
  if (current >= 0) take(machine, selectors);
  if (++current == input->scenarios) finish();
  prepare(machine);
  LOAD_SELECTOR(ds, 0x2b);
  LOAD_SELECTOR(es, 0x2b);
  LOAD_SELECTOR(fs, 0);
  LOAD_SELECTOR(gs, 0);
}

static void map(uint64_t address, uint32_t bytes, int protection, uint8_t fill) {
  void *at = mmap((void *)address, bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);
  if (at != (void *)address) fail("mmap");
  memset(at, fill, bytes);
  if (address == input->image) memcpy(at, scenarios + input->scenarios, input->image_bytes);
  if (mprotect(at, bytes, protection) != 0) fail("mprotect");
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  output_path = arguments[2];
  int file = open(arguments[1], O_RDONLY);
  struct stat facts;
  if (file < 0 || fstat(file, &facts) != 0) fail(arguments[1]);
  input = mmap(NULL, facts.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
  if (input == MAP_FAILED) fail("mmap");
  scenarios = (const struct scenario *)(input + 1);
  outcomes = calloc(input->scenarios, sizeof *outcomes);
  for (uint32_t i = 0; i < input->segments; i++)
    if (syscall(SYS_modify_ldt, 0x11, &input->segment[i], sizeof input->segment[i]) != 0) fail("modify_ldt");
  for (uint32_t i = 0; i < input->regions; i++)
    map(input->region[i].address, input->region[i].bytes, input->region[i].protection, input->region[i].fill);
  __asm__ volatile("rdfsbase %0" : "=r"(own_fs_base));

  stack_t stack = {.ss_sp = malloc(1 << 20), .ss_size = 1 << 20};
  sigaltstack(&stack, NULL);
  struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  static const int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (unsigned i = 0; i < sizeof SIGNALS / sizeof *SIGNALS; i++) sigaction(SIGNALS[i], &action, NULL);
  alarm(20);
  raise(SIGTRAP);
  return 1;
}
