import { describe, expect, test } from 'vitest'
import { evaluate, numberOf } from '../../../src/debugger/expression/evaluate.ts'
import { buildGuest, GuestUnderTest } from '../support/c-guest.ts'

/** The stub has no unwind tables, as most have not: only what the processor pushed tells who was interrupted. */
const SOURCE = `
typedef unsigned long u64;
struct gate { unsigned short low, selector, flags, middle; unsigned int high, zero; } __attribute__((packed));
static struct gate idt[64];
volatile u64 sink;
extern void stub(void);
extern void system_call(void);
__attribute__((noinline, used)) void handler(u64 number) {
  sink = number; // #handler
}
__attribute__((noinline)) void interrupted(u64 argument) {
  u64 local = argument + 1;
  __asm__ volatile("int $0x30" : : "r"(local)); // #interrupted
  sink = local;
}
__attribute__((noinline)) void caller(void) {
  interrupted(41);
  sink = 2;
}
__attribute__((noinline)) void in_call(void) {
  __asm__ volatile("syscall" : : : "rcx", "r11"); // #system-call
  sink = 3;
}
void _start(void) {
  unsigned short selector;
  __asm__ volatile("mov %%cs, %0" : "=r"(selector));
  u64 to = (u64)stub;
  idt[0x30] = (struct gate){ to, selector, 0x8e00, to >> 16, to >> 32, 0 };
  struct { unsigned short limit; u64 base; } __attribute__((packed)) table = { sizeof idt - 1, (u64)idt };
  __asm__ volatile("lidt %0" : : "m"(table));
  u64 entry = (u64)system_call;
  __asm__ volatile("rdmsr; or $1, %%eax; wrmsr" : : "c"(0xc0000080) : "eax", "edx");
  __asm__ volatile("wrmsr" : : "c"(0xc0000082), "a"((unsigned)entry), "d"((unsigned)(entry >> 32)));
  caller();
  in_call();
  for (;;) ;
}
__asm__(".globl stub; .type stub, @function; stub: push %rax; push %rdi; push %rsi; mov $7, %edi; call handler;"
        "pop %rsi; pop %rdi; pop %rax; iretq;"
        ".globl system_call; .type system_call, @function; system_call: nop; jmp *%rcx");
`

describe('a stack through an interrupt', () => {
  test('goes on in what was interrupted, with its locals', async () => {
    const guest = await GuestUnderTest.start(buildGuest(SOURCE, ['-O1', '-fno-optimize-sibling-calls']))
    await guest.runToMarker('handler')
    const { stack } = guest
    const frames = stack.frames(0, 5)
    expect(frames.map(({ name, kind }) => `${name} ${kind}`)).toEqual([
      'handler normal',
      'stub+0xd normal',
      'interrupted interrupt',
      'caller normal',
      '_start normal',
    ])
    expect(frames.map(({ by }) => by)).toEqual(['start', 'eh_frame', 'interrupt-frame', 'eh_frame', 'eh_frame'])
    const [, , interrupted] = frames
    expect(interrupted.source?.line).toBe(guest.built.marker('interrupted') + 1)
    const subject = stack.subject(interrupted)
    expect(numberOf(evaluate('$rip', stack.scope(interrupted), subject), subject)).toBe(interrupted.pc)
    guest.debugger.dispose()
  })

  test('goes back from the first instruction of a system call', async () => {
    const guest = await GuestUnderTest.start(buildGuest(SOURCE, ['-O1', '-fno-optimize-sibling-calls']))
    await guest.runTo(guest.debugger.symbols.functionsNamed('system_call'))
    const frames = guest.stack.frames(0, 3)
    expect(frames.map(({ name, kind, by }) => `${name} ${kind} ${by}`)).toEqual([
      'system_call normal start',
      'in_call interrupt syscall',
      '_start normal eh_frame',
    ])
    guest.debugger.dispose()
  })
})

describe('a stack that makes no sense', () => {
  test('ends, and what was guessed is marked', async () => {
    const guest = await GuestUnderTest.start(buildGuest(SOURCE, ['-O1']))
    await guest.runToMarker('handler')
    const { target } = guest.debugger
    let seed = 99
    for (let round = 0; round < 40; round++) {
      const noise = Array.from({ length: 256 }, () => (seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) >> 8)
      target.writePhysical(Number(target.machine.vcpus[0].register('rsp')) - 64, Uint8Array.from(noise))
      const frames = guest.stack.frames(0, 5000)
      expect(frames.length).toBeLessThan(5000)
      for (const frame of frames) expect(frame.by === 'scan').toBe(frame.kind === 'heuristic')
    }
    guest.debugger.dispose()
  })
})
