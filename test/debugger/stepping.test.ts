import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SourceStep, type SourceStepOptions } from '../../src/debugger/stepping.ts'
import { buildGuest, GuestUnderTest } from './support/c-guest.ts'

const SOURCE = `
typedef unsigned long u64;
volatile u64 sink;
extern u64 unknown(u64);
static inline __attribute__((always_inline)) u64 twice(u64 value) {
  u64 doubled = value * 2; // #in-twice
  sink = doubled;
  return doubled;
}
__attribute__((noinline)) u64 leaf(u64 a) {
  u64 b = a + 1; // #leaf
  sink = b; // #leaf-second
  return b; // #leaf-return
} // #leaf-end
__attribute__((noinline)) u64 fib(u64 n) {
  if (n < 2) // #fib
    return n;
  return fib(n - 1) + fib(n - 2); // #fib-recursion
}
void work(void) {
  sink = 1; // #first
  sink = leaf(3); // #call
  sink = fib(8); // #recursive
  for (u64 i = 0; i < 3; i++) // #loop
    sink += i; // #body
  sink = unknown(5); // #unknown
  sink = 2; // #before-inline
  sink = twice(4); // #inline
  sink = 9; // #last
}
void _start(void) {
  for (;;) work(); // #forever
}
__asm__(".section .text.unknown, \\"ax\\"; .globl unknown; .type unknown, @function; unknown: nop; nop; lea 1(%rdi), %rax; ret; .text");
`

let guest: GuestUnderTest
beforeAll(async () => {
  guest = await GuestUnderTest.start(buildGuest(SOURCE, ['-O0']))
})
afterAll(() => guest.debugger.dispose())

async function step(kind: SourceStepOptions['kind'], more: Partial<SourceStepOptions> = {}): Promise<number> {
  const { symbols, target } = guest.debugger
  guest.debugger.setAddressBreakpoints([])
  const source = new SourceStep(symbols, guest.machine, { vcpu: 0, kind, granularity: 'line', ...more })
  let request: ReturnType<SourceStep['stopped']> = source.begin()
  while (request !== undefined) {
    const wanted = request
    const stop = await guest.stopAfter(() => target.step(wanted))
    expect(stop.reason).toBe('step')
    request = source.stopped(stop.vcpu)
  }
  return guest.stack.frames(0, 1)[0].source?.line ?? 0
}

const at = (marker: string) => guest.built.marker(marker)

describe('a step by line', () => {
  test('over goes from line to line, through calls and recursion', async () => {
    await guest.runToMarker('first')
    expect(await step('over')).toBe(at('call'))
    expect(await step('over')).toBe(at('recursive'))
    expect(await step('over')).toBe(at('loop'))
    const lines = []
    for (let i = 0; i < 7; i++) lines.push(await step('over'))
    expect(lines).toEqual([at('body'), at('loop'), at('body'), at('loop'), at('body'), at('loop'), at('unknown')])
    expect(await step('over')).toBe(at('before-inline'))
    expect(await step('over')).toBe(at('inline'))
    expect(await step('over')).toBe(at('last'))
  })

  test('into a call ends behind its prologue, and out of it back in the line of the call', async () => {
    await guest.runToMarker('call')
    expect(await step('into')).toBe(at('leaf'))
    expect(guest.stack.frames(0, 1)[0].name).toBe('leaf')
    expect(await step('out')).toBe(at('call'))
    expect(await step('over')).toBe(at('recursive'))
  })

  test('over the end of a function ends in its caller', async () => {
    await guest.runToMarker('leaf-return')
    expect(await step('over')).toBe(at('leaf-end'))
    expect(await step('over')).toBe(at('call'))
    expect(guest.stack.frames(0, 1)[0].name).toBe('work')
  })

  test('into a function without lines steps over it, unless it is asked for', async () => {
    await guest.runToMarker('unknown')
    expect(await step('into')).toBe(at('before-inline'))
    await guest.runToMarker('unknown')
    await step('into', { intoUnknown: true })
    expect(guest.stack.frames(0, 1)[0].name).toBe('unknown')
    expect(guest.stack.frames(0, 2)[1].name).toBe('work')
  })

  test('into inlined code ends in it', async () => {
    await guest.runToMarker('before-inline')
    expect(await step('into')).toBe(at('in-twice'))
    expect(guest.stack.frames(0, 2).map(({ name }) => name)).toEqual(['twice', 'work'])
    expect(await step('out')).toBe(at('inline'))
    expect(guest.stack.frames(0, 1)[0].name).toBe('work')
  })

  test('over in the middle of a recursion stays in its own activation', async () => {
    await guest.runToMarker('fib-recursion')
    const depth = guest.stack.canonicalAddress(guest.stack.frames(0, 1)[0])
    await step('over')
    const [frame] = guest.stack.frames(0, 1)
    expect(frame.name).toBe('fib')
    expect(guest.stack.canonicalAddress(frame)).toBe(depth)
  })

  test('by instruction is one instruction', async () => {
    await guest.runToMarker('first')
    const before = guest.debugger.target.instructions
    await step('over', { granularity: 'instruction' })
    expect(guest.debugger.target.instructions - before).toBe(1)
  })

  test('out of the outermost function says that there is no caller', async () => {
    await guest.runToMarker('forever')
    expect(() =>
      new SourceStep(guest.debugger.symbols, guest.machine, { vcpu: 0, kind: 'out', granularity: 'line' }).begin(),
    ).toThrow('no caller')
  })
})
