/*
 * Executes single instructions on the processor of the host: reads cases from the file named first, writes results to
 * the file named second. Both are sequences of `struct record` (record.ts says the same in TypeScript). Addresses are
 * fixed, so that pointers in registers mean the same here and in the engine.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

/* Each page stands alone: what reaches over its end faults. */
#define WINDOW_PAGE 0x20000000
#define WINDOW_OFFSET 0x800
#define RECORD_PAGE 0x20010000
#define CODE_PAGE 0x20020000

/* Behind the record, for the assembly below. */
#define HOST_STACK "0x20010800"
#define CODE_POINTER "0x20010808"
#define EPILOGUE_POINTER 0x20010810
#define DEFAULT_MXCSR "0x20010818"

struct record {
  uint8_t fx[512];    /* FXSAVE64 image */
  uint64_t gpr[16];   /* in encoding order: rax, rcx, rdx, rbx, rsp, ... */
  uint64_t rflags;
  uint64_t vector;    /* of the exception, or NO_EXCEPTION */
  uint64_t code_length;
  uint8_t code[24];
  uint8_t window[128];
  uint8_t reserved[16];
};
_Static_assert(sizeof(struct record) == 832, "record.ts has this size");

#define NO_EXCEPTION UINT64_MAX

void run_case(void);
void run_case_epilogue(void);

/* Loads everything the record says, RSP last, jumps to the code, and stores everything again. */
__asm__(
    ".intel_syntax noprefix\n"
    "run_case:\n"
    "  push rbx; push rbp; push r12; push r13; push r14; push r15\n"
    "  mov [" HOST_STACK "], rsp\n"
    "  fxrstor64 [0x20010000]\n"
    "  push qword ptr [0x20010280]\n"
    "  popfq\n"
    "  mov rax, [0x20010200]; mov rcx, [0x20010208]; mov rdx, [0x20010210]; mov rbx, [0x20010218]\n"
    "  mov rbp, [0x20010228]; mov rsi, [0x20010230]; mov rdi, [0x20010238]\n"
    "  mov r8, [0x20010240]; mov r9, [0x20010248]; mov r10, [0x20010250]; mov r11, [0x20010258]\n"
    "  mov r12, [0x20010260]; mov r13, [0x20010268]; mov r14, [0x20010270]; mov r15, [0x20010278]\n"
    "  mov rsp, [0x20010220]\n"
    "  jmp qword ptr [" CODE_POINTER "]\n"
    "run_case_epilogue:\n"
    "  mov [0x20010220], rsp\n"
    "  mov rsp, [" HOST_STACK "]\n"
    "  mov [0x20010200], rax; mov [0x20010208], rcx; mov [0x20010210], rdx; mov [0x20010218], rbx\n"
    "  mov [0x20010228], rbp; mov [0x20010230], rsi; mov [0x20010238], rdi\n"
    "  mov [0x20010240], r8; mov [0x20010248], r9; mov [0x20010250], r10; mov [0x20010258], r11\n"
    "  mov [0x20010260], r12; mov [0x20010268], r13; mov [0x20010270], r14; mov [0x20010278], r15\n"
    "  pushfq\n"
    "  pop qword ptr [0x20010280]\n"
    "  cld\n"
    "  fxsave64 [0x20010000]\n"
    "  fninit\n"
    "  ldmxcsr [" DEFAULT_MXCSR "]\n"
    "  pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx\n"
    "  ret\n"
    ".att_syntax\n");

static struct record *const record = (struct record *)RECORD_PAGE;

/* Continues behind the instruction as if it had ended, with the vector noted: registers are those of the fault. */
static void note_exception(int signal, siginfo_t *information, void *context) {
  (void)information;
  ucontext_t *interrupted = context;
  uint64_t rip = (uint64_t)interrupted->uc_mcontext.gregs[REG_RIP];
  if (rip < CODE_PAGE || rip >= CODE_PAGE + 4096) {
    fprintf(stderr, "signal %d outside of a case, at %llx\n", signal, (unsigned long long)rip);
    _exit(1);
  }
  record->vector = (uint64_t)interrupted->uc_mcontext.gregs[REG_TRAPNO];
  interrupted->uc_mcontext.gregs[REG_RIP] = (long long)(uint64_t)run_case_epilogue;
}

static void map_page(uint64_t address, int protection) {
  void *page = mmap((void *)address, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (page == (void *)address) return;
  perror("mmap");
  exit(1);
}

static void catch_exceptions(void) {
  static uint8_t stack[65536];
  stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternative, 0);
  struct sigaction action = {.sa_sigaction = note_exception, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  int signals[] = {SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, 0);
}

static void execute(void) {
  uint8_t *window = (uint8_t *)WINDOW_PAGE + WINDOW_OFFSET, *code = (uint8_t *)CODE_PAGE;
  memset((void *)WINDOW_PAGE, 0, 4096);
  memcpy(window, record->window, sizeof record->window);
  memcpy(code, record->code, record->code_length);
  /* jmp qword ptr [EPILOGUE_POINTER] */
  uint8_t *end = code + record->code_length;
  uint32_t pointer = EPILOGUE_POINTER;
  memcpy(end, "\xFF\x24\x25", 3);
  memcpy(end + 3, &pointer, sizeof pointer);
  record->vector = NO_EXCEPTION;
  run_case();
  memcpy(record->window, window, sizeof record->window);
}

int main(int count, char **arguments) {
  FILE *input = count == 3 ? fopen(arguments[1], "rb") : 0, *output = count == 3 ? fopen(arguments[2], "wb") : 0;
  if (!input || !output) {
    fprintf(stderr, "usage: native CASES RESULTS\n");
    return 64;
  }
  map_page(WINDOW_PAGE, PROT_READ | PROT_WRITE);
  map_page(RECORD_PAGE, PROT_READ | PROT_WRITE);
  map_page(CODE_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
  *(uint64_t *)0x20010808 = CODE_PAGE;
  *(uint64_t *)EPILOGUE_POINTER = (uint64_t)run_case_epilogue;
  *(uint32_t *)0x20010818 = 0x1F80;
  catch_exceptions();
  while (fread(record, sizeof *record, 1, input) == 1) {
    execute();
    if (fwrite(record, sizeof *record, 1, output) != 1) return 1;
  }
  return fclose(output) == 0 ? 0 : 1;
}
