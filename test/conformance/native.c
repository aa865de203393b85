/*
 * Executes single instructions on the processor of the host: reads cases from the file named first, writes results to
 * the file named second. Both hold `struct record`s (record.ts says the same in TypeScript), the first behind a header
 * with the segments of the LDT. Addresses are fixed, so that pointers mean the same here and in the engine.
 *
 * Each case ends in a signal: by the exception that it raises, or by the HLT that the code page is filled with, which a
 * program may not execute. The handler takes the result from the signal frame, puts the next case into the frame and
 * returns into it. So the kernel saves and loads all of the state, whatever code segment a case runs in.
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
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

/* Each page stands alone: what reaches over its end faults. */
#define WINDOW_PAGE 0x20000000
#define WINDOW_OFFSET 0x800
#define WINDOW_SIZE 1024
#define CODE_PAGE 0x20008000
#define HLT 0xF4

#define FX_SIZE 464 /* of 512; the rest is the kernel's (struct _fpx_sw_bytes) */
#define XSTATE_BV 512
#define YMM_HIGH 576
#define YMM_HIGH_SIZE 256
#define X87 1
#define SSE 2
#define AVX 4

/* AC, NT and ID: a case may leave them set, and they would stay so. */
#define LASTING_FLAGS 0x244000
#define PAGE_FAULT 14

struct record {
  uint8_t xsave[832]; /* XSAVE image, standard format: x87, SSE, AVX */
  uint64_t gpr[16];   /* in encoding order: rax, rcx, rdx, rbx, rsp, ... */
  uint64_t rflags, rip, fs_base, gs_base, cr2;
  uint16_t cs, ss, ds, es, fs, gs;
  uint16_t vector, reserved;
  uint32_t error_code;
  uint32_t code_length, code_offset, reserved2;
  uint8_t code[24];
  uint8_t window[WINDOW_SIZE];
};
_Static_assert(sizeof(struct record) == 2080, "record.ts has this size");

struct header {
  uint32_t records, segments;
  struct user_desc ldt[32];
};

static const int GPR_ORDER[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static struct header *header;
static struct record *records;
/* Of the case that runs; -1 before the first. */
static int64_t current = -1;
static const char *output_path;
static uint64_t own_fs_base, own_gs_base;

#define READ_SELECTOR(name, to) __asm__ volatile("mov %%" #name ",%0" : "=r"(to))
#define LOAD_SELECTOR(name, from) __asm__ volatile("mov %0,%%" #name : : "r"((uint32_t)(from)))
#define READ_BASE(name, to) __asm__ volatile("rd" #name "base %0" : "=r"(to))
#define LOAD_BASE(name, from) __asm__ volatile("wr" #name "base %0" : : "r"((uint64_t)(from)))

static void fail(const char *what) {
  perror(what);
  _exit(1);
}

static void finish(void) {
  int file = open(output_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0) fail(output_path);
  const char *from = (const char *)records;
  for (size_t left = header->records * sizeof *records; left > 0;) {
    ssize_t written = write(file, from, left);
    if (written <= 0) fail(output_path);
    from += written;
    left -= (size_t)written;
  }
  _exit(0);
}

static void take_result(struct record *record, const ucontext_t *context, const uint16_t selectors[4]) {
  const greg_t *registers = context->uc_mcontext.gregs;
  const uint8_t *area = (const uint8_t *)context->uc_mcontext.fpregs;
  uint64_t present;
  memcpy(&present, area + XSTATE_BV, sizeof present);
  /* A component in its initial state may be left out of the image (SDM vol. 1, 13.6). */
  memset(record->xsave, 0, sizeof record->xsave);
  if (present & X87) memcpy(record->xsave, area, 24), memcpy(record->xsave + 32, area + 32, 128);
  else record->xsave[0] = 0x7f, record->xsave[1] = 3;
  memcpy(record->xsave + 24, area + 24, 4);
  if (present & SSE) memcpy(record->xsave + 160, area + 160, 256);
  if (present & AVX) memcpy(record->xsave + YMM_HIGH, area + YMM_HIGH, YMM_HIGH_SIZE);
  for (int i = 0; i < 16; i++) record->gpr[i] = (uint64_t)registers[GPR_ORDER[i]];
  record->rflags = (uint64_t)registers[REG_EFL];
  record->rip = (uint64_t)registers[REG_RIP];
  record->cs = (uint16_t)registers[REG_CSGSFS];
  record->ss = (uint16_t)((uint64_t)registers[REG_CSGSFS] >> 48);
  record->ds = selectors[0], record->es = selectors[1], record->fs = selectors[2], record->gs = selectors[3];
  record->vector = (uint16_t)registers[REG_TRAPNO];
  record->error_code = (uint32_t)registers[REG_ERR];
  record->cr2 = record->vector == PAGE_FAULT ? (uint64_t)registers[REG_CR2] : 0;
  memcpy(record->window, (void *)(WINDOW_PAGE + WINDOW_OFFSET), WINDOW_SIZE);
}

static void put_case(const struct record *record, ucontext_t *context) {
  greg_t *registers = context->uc_mcontext.gregs;
  uint8_t *area = (uint8_t *)context->uc_mcontext.fpregs;
  uint64_t present;
  memcpy(&present, area + XSTATE_BV, sizeof present);
  present |= X87 | SSE | AVX;
  memcpy(area, record->xsave, FX_SIZE);
  memcpy(area + XSTATE_BV, &present, sizeof present);
  memcpy(area + YMM_HIGH, record->xsave + YMM_HIGH, YMM_HIGH_SIZE);
  for (int i = 0; i < 16; i++) registers[GPR_ORDER[i]] = (greg_t)record->gpr[i];
  registers[REG_EFL] = (greg_t)record->rflags;
  registers[REG_RIP] = (greg_t)record->rip;
  registers[REG_CSGSFS] = (greg_t)(record->cs | (uint64_t)record->ss << 48);
  /* UC_SIGCONTEXT_SS and UC_STRICT_RESTORE_SS of <asm/ucontext.h>: SS is restored as it stands. */
  context->uc_flags |= 6;
  memset((void *)WINDOW_PAGE, 0, 4096);
  memcpy((void *)(WINDOW_PAGE + WINDOW_OFFSET), record->window, WINDOW_SIZE);
  memset((void *)CODE_PAGE, HLT, 4096);
  memcpy((void *)(uint64_t)(CODE_PAGE + record->code_offset), record->code, record->code_length);
}

static void on_signal(int number, siginfo_t *information, void *pointer) {
  (void)information;
  __asm__ volatile("pushfq; andl %0,(%%rsp); popfq" : : "i"(~LASTING_FLAGS) : "memory", "cc");
  ucontext_t *context = pointer;
  uint16_t selectors[4];
  uint64_t fs_base, gs_base;
  READ_SELECTOR(ds, selectors[0]);
  READ_SELECTOR(es, selectors[1]);
  READ_SELECTOR(fs, selectors[2]);
  READ_SELECTOR(gs, selectors[3]);
  READ_BASE(fs, fs_base);
  READ_BASE(gs, gs_base);
  /* What the C library keeps by FS must be there before any of it is called. */
  LOAD_SELECTOR(fs, 0);
  LOAD_SELECTOR(gs, 0);
  LOAD_BASE(fs, own_fs_base);
  LOAD_BASE(gs, own_gs_base);
  if (current >= 0) {
    struct record *done = &records[current];
    take_result(done, context, selectors);
    done->fs_base = fs_base;
    done->gs_base = gs_base;
  } else if (number != SIGILL) {
    fprintf(stderr, "signal %d before the first case\n", number);
    _exit(1);
  }
  if (++current == header->records) finish();
  const struct record *next = &records[current];
  put_case(next, context);
  LOAD_SELECTOR(ds, next->ds);
  LOAD_SELECTOR(es, next->es);
  LOAD_SELECTOR(fs, next->fs);
  LOAD_SELECTOR(gs, next->gs);
  if (next->fs == 0) LOAD_BASE(fs, next->fs_base);
  if (next->gs == 0) LOAD_BASE(gs, next->gs_base);
}

/* A case takes microseconds: one that is still there at the next tick does not end. */
static void on_tick(int number) {
  (void)number;
  static int64_t seen = -1;
  __asm__ volatile("pushfq; andl %0,(%%rsp); popfq" : : "i"(~LASTING_FLAGS) : "memory", "cc");
  LOAD_BASE(fs, own_fs_base);
  if (current >= 0 && current == seen) {
    fprintf(stderr, "case %lld does not end:", (long long)current);
    for (uint32_t i = 0; i < records[current].code_length; i++) fprintf(stderr, " %02x", records[current].code[i]);
    fprintf(stderr, "\n");
    _exit(2);
  }
  seen = current;
}

static void map_page(uint64_t address, int protection) {
  void *page = mmap((void *)address, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (page != (void *)address) fail("mmap");
}

static void catch_exceptions(void) {
  static uint8_t stack[1 << 16] __attribute__((aligned(4096)));
  stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
  if (sigaltstack(&alternative, 0) != 0) fail("sigaltstack");
  /* Not SA_NODEFER: an exception in the handler itself ends the program. */
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  int signals[] = {SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP};
  sigaddset(&action.sa_mask, SIGALRM);
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaddset(&action.sa_mask, signals[i]);
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, 0);
  action.sa_handler = on_tick;
  action.sa_flags = SA_ONSTACK;
  sigaddset(&action.sa_mask, SIGALRM);
  sigaction(SIGALRM, &action, 0);
  struct itimerval ticks = {.it_interval = {.tv_sec = 2}, .it_value = {.tv_sec = 2}};
  setitimer(ITIMER_REAL, &ticks, 0);
}

static void read_cases(const char *path) {
  int file = open(path, O_RDONLY);
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0) fail(path);
  header = mmap(0, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  if (header == MAP_FAILED) fail(path);
  records = (struct record *)(header + 1);
  if ((size_t)status.st_size != sizeof *header + header->records * sizeof *records) {
    fprintf(stderr, "%s: not the size that its header says\n", path);
    exit(1);
  }
}

int main(int count, char **arguments) {
  if (count != 3) {
    fprintf(stderr, "usage: native CASES RESULTS\n");
    return 64;
  }
  read_cases(arguments[1]);
  output_path = arguments[2];
  for (uint32_t i = 0; i < header->segments; i++) {
    if (syscall(SYS_modify_ldt, 0x11, &header->ldt[i], sizeof header->ldt[i]) != 0) fail("modify_ldt");
  }
  map_page(WINDOW_PAGE, PROT_READ | PROT_WRITE);
  map_page(CODE_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
  catch_exceptions();
  READ_BASE(fs, own_fs_base);
  READ_BASE(gs, own_gs_base);
  __asm__ volatile("ud2");
  return 1;
}
