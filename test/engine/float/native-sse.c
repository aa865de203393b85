/* Runs scalar SSE instructions on the host's processor. Each line of standard input is "name mxcsr a b" in hex;
 * each line of output "result mxcsr fault". Exceptions may be unmasked: the fault is caught and reported. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

static sigjmp_buf resume;
static uint32_t faulted_mxcsr;

static void on_fault(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)info;
  faulted_mxcsr = ((ucontext_t *)context)->uc_mcontext.fpregs->mxcsr;
  siglongjmp(resume, 1);
}

static uint32_t mxcsr;
static const uint32_t default_mxcsr = 0x1f80;
static uint64_t a, b, result;

#define RUN(text) \
  __asm__ volatile("ldmxcsr %[m]\n movq %[a], %%xmm0\n movq %[b], %%xmm1\n" text "\n stmxcsr %[m]\n ldmxcsr %[d]\n" \
                   : [m] "+m"(mxcsr), [r] "=r"(result) \
                   : [a] "r"(a), [b] "r"(b), [d] "m"(default_mxcsr) \
                   : "xmm0", "xmm1", "rax", "rcx", "cc", "memory")
#define CASE(name, text) \
  else if (!strcmp(op, name)) RUN(text);
#define LANES(name) \
  CASE(name "ss", name "ss %%xmm1, %%xmm0\n movd %%xmm0, %k[r]") \
  CASE(name "sd", name "sd %%xmm1, %%xmm0\n movq %%xmm0, %[r]")
#define COMPARE(number) \
  CASE("cmpss" #number, "cmpss $" #number ", %%xmm1, %%xmm0\n movd %%xmm0, %k[r]") \
  CASE("cmpsd" #number, "cmpsd $" #number ", %%xmm1, %%xmm0\n movq %%xmm0, %[r]")
#define FLAGS(name) CASE(name, name " %%xmm1, %%xmm0\n pushfq\n pop %[r]\n and $0x8d5, %[r]")
#define TO_INTEGER(name) \
  CASE(name "32", name " %%xmm0, %%eax\n mov %%rax, %[r]") \
  CASE(name "64", name " %%xmm0, %%rax\n mov %%rax, %[r]")
#define FROM_INTEGER(lane) \
  CASE("cvtsi2" lane "32", "mov %k[a], %%eax\n cvtsi2" lane "l %%eax, %%xmm0\n movq %%xmm0, %[r]") \
  CASE("cvtsi2" lane "64", "mov %[a], %%rax\n cvtsi2" lane "q %%rax, %%xmm0\n movq %%xmm0, %[r]")
#define ROUND(number) \
  CASE("roundss" #number, "roundss $" #number ", %%xmm0, %%xmm0\n movd %%xmm0, %k[r]") \
  CASE("roundsd" #number, "roundsd $" #number ", %%xmm0, %%xmm0\n movq %%xmm0, %[r]")

int main(void) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  sigaction(SIGFPE, &action, NULL);
  char op[32];
  unsigned long long va, vb;
  while (scanf("%31s %x %llx %llx", op, &mxcsr, &va, &vb) == 4) {
    uint32_t fault = 0;
    a = va;
    b = vb;
    result = 0;
    if (sigsetjmp(resume, 1)) {
      fault = 1;
      mxcsr = faulted_mxcsr;
    }
    if (fault) {
    }
    LANES("add")
    LANES("sub")
    LANES("mul")
    LANES("div")
    LANES("sqrt")
    LANES("min")
    LANES("max")
    COMPARE(0)
    COMPARE(1)
    COMPARE(2)
    COMPARE(3)
    COMPARE(4)
    COMPARE(5)
    COMPARE(6)
    COMPARE(7)
    FLAGS("comiss")
    FLAGS("comisd")
    FLAGS("ucomiss")
    FLAGS("ucomisd")
    TO_INTEGER("cvtss2si")
    TO_INTEGER("cvttss2si")
    TO_INTEGER("cvtsd2si")
    TO_INTEGER("cvttsd2si")
    FROM_INTEGER("ss")
    FROM_INTEGER("sd")
    CASE("cvtss2sd", "cvtss2sd %%xmm0, %%xmm0\n movq %%xmm0, %[r]")
    CASE("cvtsd2ss", "cvtsd2ss %%xmm0, %%xmm0\n movd %%xmm0, %k[r]")
    ROUND(0)
    ROUND(3)
    ROUND(4)
    ROUND(12)
    else {
      fprintf(stderr, "unknown operation %s\n", op);
      return 1;
    }
    printf("%llx %x %x\n", (unsigned long long)result, mxcsr, fault);
  }
  return 0;
}
